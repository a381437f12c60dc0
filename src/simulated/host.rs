//! Machines with files and named commands. What a command does is a closure, so that a scenario can say that `fence`
//! stops its database; ready-made are a database host and an application that reads its file when it starts.

use super::{Fault, Hook};
use crate::kernel::domain::{Digest, Name, Span};
use crate::provider::host::{FileRead, FileWritten, Host, Port, Ran, Tail};
use futures_util::future::{BoxFuture, FutureExt as _};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

/// What lies on one machine and how it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    pub files: BTreeMap<String, String>,
    /// What is true of it: `stopped`, `masked`.
    pub marks: BTreeSet<String>,
    /// What runs on it remembers this: the file's text that an application was started with.
    pub running: BTreeMap<String, String>,
}

/// Exit code and words.
type Effect = Arc<dyn Fn(&mut Machine) -> (i32, String) + Send + Sync>;

#[derive(Clone)]
struct Command {
    mutates: bool,
    effect: Effect,
}

#[derive(Default)]
struct World {
    machines: BTreeMap<Name, Machine>,
    /// Before the last change, for stale reads.
    before: BTreeMap<Name, Machine>,
    commands: BTreeMap<(Name, String), Command>,
    unreachable: BTreeSet<Name>,
    effects: BTreeMap<String, u32>,
}

pub struct HostModel {
    hook: Arc<dyn Hook>,
    world: Mutex<World>,
}

impl HostModel {
    pub fn new(hook: Arc<dyn Hook>) -> HostModel {
        HostModel { hook, world: Mutex::default() }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("invariant: no panic while holding the lock")
    }

    /// A machine as it stands at the beginning.
    pub fn machine(&self, name: impl Into<Name>, machine: Machine) {
        let name = name.into();
        self.world().before.insert(name.clone(), machine.clone());
        self.world().machines.insert(name, machine);
    }

    pub fn command(
        &self,
        host: impl Into<Name>,
        command: &str,
        mutates: bool,
        effect: impl Fn(&mut Machine) -> (i32, String) + Send + Sync + 'static,
    ) {
        let command_of = Command { mutates, effect: Arc::new(effect) };
        self.world().commands.insert((host.into(), command.to_owned()), command_of);
    }

    /// `fence` stops and masks, `fenced` tells, `unfence` takes it back; `on_fence` and `on_unfence` tell the rest of
    /// the world.
    pub fn database_host(
        &self,
        name: &str,
        on_fence: impl Fn() + Send + Sync + 'static,
        on_unfence: impl Fn() + Send + Sync + 'static,
    ) {
        self.machine(name, Machine::default());
        self.command(name, "fence", true, move |machine| {
            machine.marks.extend(["stopped".to_owned(), "masked".to_owned()]);
            on_fence();
            (0, "stopped and masked".into())
        });
        self.command(name, "fenced", false, |machine| {
            let fenced = machine.marks.contains("stopped") && machine.marks.contains("masked");
            (i32::from(!fenced), if fenced { "stopped and masked" } else { "not fenced" }.into())
        });
        self.command(name, "unfence", true, move |machine| {
            machine.marks.clear();
            on_unfence();
            (0, "not masked".into())
        });
    }

    /// An application that read `file` when it started: `restart` takes the new text up, `is_current` compares.
    pub fn app(&self, name: &str, file: &str, text: &str, restart: &str, is_current: &str) {
        let mut machine = Machine::default();
        machine.files.insert(file.to_owned(), text.to_owned());
        machine.running.insert(file.to_owned(), text.to_owned());
        self.machine(name, machine);
        let path = file.to_owned();
        self.command(name, restart, true, move |machine| {
            let text = machine.files.get(&path).cloned().unwrap_or_default();
            machine.running.insert(path.clone(), text);
            (0, "restarted".into())
        });
        let path = file.to_owned();
        self.command(name, is_current, false, move |machine| {
            let current = machine.running.get(&path) == machine.files.get(&path);
            (i32::from(!current), if current { "current" } else { "not current" }.into())
        });
    }

    /// The machine cannot be reached, or can again.
    pub fn cut_off(&self, name: impl Into<Name>, cut: bool) {
        let name = name.into();
        let mut world = self.world();
        if cut {
            world.unreachable.insert(name)
        } else {
            world.unreachable.remove(&name)
        };
    }

    /// Somebody changes a file by hand.
    pub fn by_hand(&self, host: impl Into<Name>, path: &str, text: &str) {
        let host = host.into();
        let mut world = self.world();
        world.remember(&host);
        world.machines.entry(host).or_default().files.insert(path.to_owned(), text.to_owned());
    }

    /// Somebody works on the machine itself.
    pub fn touch(&self, host: impl Into<Name>, work: impl FnOnce(&mut Machine)) {
        let host = host.into();
        let mut world = self.world();
        world.remember(&host);
        work(world.machines.entry(host).or_default());
    }

    pub fn see(&self, host: impl Into<Name>) -> Machine {
        self.world().machines.get(&host.into()).cloned().unwrap_or_default()
    }

    /// How often each thing took effect: `HOST COMMAND` or `HOST PATH`.
    pub fn effects(&self) -> BTreeMap<String, u32> {
        self.world().effects.clone()
    }
}

impl World {
    fn remember(&mut self, host: &Name) {
        let now = self.machines.get(host).cloned().unwrap_or_default();
        self.before.insert(host.clone(), now);
    }

    fn count(&mut self, host: &Name, what: &str) {
        *self.effects.entry(format!("{host} {what}")).or_default() += 1;
    }

    fn run(&mut self, host: &Name, name: &str, stale: bool) -> Ran {
        let Some(command) = self.commands.get(&(host.clone(), name.to_owned())).cloned() else {
            return Ran::Exit { code: 77, tail: tail(77, format!("not allowed here: {name:?}")) };
        };
        let (code, says) = if command.mutates {
            self.remember(host);
            self.count(host, name);
            (command.effect)(self.machines.entry(host.clone()).or_default())
        } else {
            let seen = if stale { &self.before } else { &self.machines };
            (command.effect)(&mut seen.get(host).cloned().unwrap_or_default())
        };
        Ran::Exit { code, tail: tail(code, says) }
    }
}

fn tail(code: i32, says: String) -> Tail {
    if code == 0 {
        Tail { stdout: says, ..Tail::default() }
    } else {
        Tail { stderr: says, ..Tail::default() }
    }
}

impl Port for HostModel {
    fn run<'a>(&'a self, host: &'a Host, command: &'a str, _within: Span) -> BoxFuture<'a, Ran> {
        async move {
            let key = (host.name.clone(), command.to_owned());
            let mutates = self.world().commands.get(&key).is_some_and(|command| command.mutates);
            let fault = self.hook.before("host.run", mutates).await;
            if fault == Fault::Reject || self.world().unreachable.contains(&host.name) {
                return Ran::NotStarted { layer: "tcp", says: "connection refused".into() };
            }
            let ran = self.world().run(&host.name, command, fault == Fault::Stale);
            self.hook.after("host.run", mutates).await;
            if fault == Fault::LoseReply {
                Ran::Unknown { says: "the connection was lost".into() }
            } else {
                ran
            }
        }
        .boxed()
    }

    fn read_file<'a>(&'a self, host: &'a Host, path: &'a str, _within: Span) -> BoxFuture<'a, FileRead> {
        async move {
            let fault = self.hook.before("host.read_file", false).await;
            let unreachable = self.world().unreachable.contains(&host.name);
            let read = {
                let world = self.world();
                let seen = if fault == Fault::Stale { &world.before } else { &world.machines };
                let text = seen.get(&host.name).and_then(|machine| machine.files.get(path)).cloned();
                text.map_or(FileRead::Missing, FileRead::Text)
            };
            self.hook.after("host.read_file", false).await;
            if unreachable || matches!(fault, Fault::Reject | Fault::LoseReply) {
                return FileRead::Unreachable { layer: "tcp", says: "connection refused".into() };
            }
            read
        }
        .boxed()
    }

    fn write_file<'a>(
        &'a self,
        host: &'a Host,
        path: &'a str,
        expected: Digest,
        text: &'a str,
        _within: Span,
    ) -> BoxFuture<'a, FileWritten> {
        async move {
            let fault = self.hook.before("host.write_file", true).await;
            if fault == Fault::Reject || self.world().unreachable.contains(&host.name) {
                return FileWritten::Refused { retry: true, says: "connection refused".into() };
            }
            let done = {
                let mut world = self.world();
                let there = world.machines.get(&host.name).and_then(|machine| machine.files.get(path));
                let same = there.is_some_and(|old| Digest::of(old.as_bytes()) == expected);
                if same {
                    world.remember(&host.name);
                    world.count(&host.name, path);
                    let machine = world.machines.entry(host.name.clone()).or_default();
                    machine.files.insert(path.to_owned(), text.to_owned());
                }
                same
            };
            self.hook.after("host.write_file", true).await;
            match (fault, done) {
                (Fault::LoseReply, _) => FileWritten::Unknown { says: "the connection was lost".into() },
                (_, true) => FileWritten::Done { window: "none in the model" },
                (_, false) => FileWritten::Moved { says: "its text is not what was read before".into() },
            }
        }
        .boxed()
    }
}
