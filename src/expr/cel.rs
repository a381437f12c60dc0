//! One compiled expression. Compiled at load, its names checked at load, evaluated with given values only.

use super::spend::Spent;
use super::{ExprError, MAX_VALUE, bounds, convert, thread};
use ::cel::objects::Value as Cel;
use ::cel::parser::{Expression, ParseErrors};
use ::cel::{Context, Env, ExecutionError, Program};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// Functions that an expression may call, operators aside.
const FUNCTIONS: [&str; 17] = [
    "target",
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "string",
    "int",
    "uint",
    "double",
    "bool",
    "has",
    "all",
    "exists",
    "exists_one",
    "map",
    "filter",
];

/// What an expression may see.
#[derive(Clone, Debug, Default)]
pub struct Vars {
    names: BTreeMap<String, Value>,
    /// The public half of each target, for `target(NAME)`.
    targets: Arc<BTreeMap<String, Value>>,
}

impl Vars {
    pub fn new(targets: Arc<BTreeMap<String, Value>>) -> Vars {
        Vars { names: BTreeMap::new(), targets }
    }
    pub fn set(&mut self, name: impl Into<String>, value: Value) {
        self.names.insert(name.into(), value);
    }
    pub fn with(mut self, name: impl Into<String>, value: Value) -> Vars {
        self.set(name, value);
        self
    }
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.names.get(name)
    }
}

#[derive(Clone, Debug)]
pub struct Expr {
    source: String,
    code: Arc<Expression>,
    free: Vec<String>,
}

impl PartialEq for Expr {
    fn eq(&self, other: &Expr) -> bool {
        self.source == other.source
    }
}

impl Expr {
    pub fn compile(source: &str) -> Result<Expr, ExprError> {
        bounds::before_compile(source)?;
        let text = source.to_owned();
        let (code, free, called) = thread::run(move || compile(&text))??;
        let known =
            |name: &&String| !FUNCTIONS.contains(&name.as_str()) && name.chars().any(char::is_alphabetic);
        if let Some(unknown) = called.iter().filter(|name| !name.starts_with('@')).find(known) {
            return Err(ExprError::UnknownFunction(unknown.clone()));
        }
        Ok(Expr { source: source.to_owned(), code: Arc::new(code), free })
    }
    pub fn source(&self) -> &str {
        &self.source
    }
    /// Names that it needs from outside, sorted.
    pub fn free(&self) -> &[String] {
        &self.free
    }
    /// The names of a path such as `body.alert.id`, where it is nothing else.
    pub fn path(&self) -> Option<Vec<&str>> {
        let word = |part: &&str| {
            let starts = part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            starts && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let parts: Vec<&str> = self.source.trim().split('.').collect();
        (self.free == parts[..1] && parts.iter().all(word)).then_some(parts)
    }
    pub fn functions() -> impl Iterator<Item = &'static str> + Clone {
        FUNCTIONS.into_iter()
    }

    pub fn eval(&self, vars: &Vars) -> Result<Value, ExprError> {
        let mut names = Vec::with_capacity(self.free.len());
        for name in &self.free {
            let value = vars
                .names
                .get(name)
                .ok_or_else(|| ExprError::Evaluation(format!("there is no value named {name:?} here")))?;
            if value.to_string().len() > MAX_VALUE {
                return Err(ExprError::TooLarge);
            }
            names.push((name.clone(), convert::to_cel(value)?));
        }
        let (code, targets) = (self.code.clone(), vars.targets.clone());
        thread::run(move || evaluate(&code, names, targets))?
    }

    pub fn eval_bool(&self, vars: &Vars) -> Result<bool, ExprError> {
        match self.eval(vars)? {
            Value::Bool(b) => Ok(b),
            other => Err(ExprError::NotABoolean(other.to_string())),
        }
    }
}

/// Built once: some thousand small objects.
static LIBRARY: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

type Compiled = (Expression, Vec<String>, Vec<String>);

fn compile(source: &str) -> Result<Compiled, ExprError> {
    let program = Program::compile(source).map_err(|errors| syntax(source, &errors))?;
    let mut code = program.expression().clone();
    let (free, called) = bounds::references(&code);
    bounds::after_compile(&mut code)?;
    Ok((code, free, called))
}

fn syntax(source: &str, errors: &ParseErrors) -> ExprError {
    let Some(first) = errors.errors.first() else {
        return ExprError::Syntax { says: "it cannot be read".into(), at: 0 };
    };
    let (line, column) = first.pos;
    let before: usize =
        source.split_inclusive('\n').take(usize::try_from(line - 1).unwrap_or(0)).map(str::len).sum();
    let at = before + usize::try_from(column - 1).unwrap_or(0);
    // The generated parser lists dozens of expected tokens; the first line says enough.
    let says = first.msg.lines().next().unwrap_or_default();
    let says = says.split(" expecting ").next().unwrap_or(says);
    ExprError::Syntax { says: says.to_owned(), at: at.min(source.len()) }
}

fn evaluate(
    code: &Expression,
    names: Vec<(String, Cel)>,
    targets: Arc<BTreeMap<String, Value>>,
) -> Result<Value, ExprError> {
    let mut context = Context::with_env(LIBRARY.clone());
    for (name, value) in names {
        context.add_variable_from_value(name, value);
    }
    let spent = Arc::new(Spent::default());
    let [loops, joins, patterns] = [spent.clone(), spent.clone(), spent.clone()];
    let declared = context
        .add_function(bounds::RANGE, move |range: Cel| loops.visit(range))
        .and_then(|()| context.add_function(bounds::JOIN, move |l: Cel, r: Cel| joins.join(l, r)))
        .and_then(|()| {
            context.add_function(bounds::MATCHES, move |text: Arc<String>, pattern: Arc<String>| {
                patterns.matches(&text, &pattern)
            })
        })
        .and_then(|()| context.add_function("target", move |name: Arc<String>| target(&targets, &name)));
    declared.map_err(|e| ExprError::Evaluation(e.to_string()))?;
    let value = context.resolve(code).map_err(|error| spent.over().unwrap_or_else(|| explain(&error)))?;
    if let Some(error) = spent.over() {
        return Err(error);
    }
    convert::from_cel(&value)
}

fn target(targets: &BTreeMap<String, Value>, name: &str) -> Result<Cel, ExecutionError> {
    let failed = |says: String| ExecutionError::function_error("target", says);
    let value = targets.get(name).ok_or_else(|| {
        let hint = crate::document::nearest(name, targets.keys().map(String::as_str));
        let hint = hint.map_or(String::new(), |near| format!("; did you mean {near:?}?"));
        failed(format!("there is no target {name:?} in pointsman.toml{hint}"))
    })?;
    convert::to_cel(value).map_err(|e| failed(e.to_string()))
}

fn explain(error: &ExecutionError) -> ExprError {
    match error {
        ExecutionError::NoSuchKey(key) => ExprError::Evaluation(format!("there is no {key:?} in that value")),
        ExecutionError::UndeclaredReference(name) => {
            ExprError::Evaluation(format!("there is nothing named {name:?} here"))
        }
        ExecutionError::FunctionError { message, .. } => ExprError::Evaluation(message.clone()),
        other => {
            let mut says = other.to_string();
            let cut = (0..=says.len().min(300)).rev().find(|i| says.is_char_boundary(*i)).unwrap_or(0);
            says.truncate(cut);
            ExprError::Evaluation(says)
        }
    }
}
