pub use pointsman_kernel as kernel;
