//! People in the loop, through the real server: who they are, what they may, and that nothing but their own word decides.

mod approvals;
mod browser;
pub mod chromium;
pub mod desk;
mod doors;
mod links;
mod pages;
