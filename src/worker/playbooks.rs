//! The playbooks that are in force: checked, kept by digest, inactive where they have problems. Read at the start of an
//! instance, and by `reload` whenever the folder changes.

use super::limits::COOLDOWN;
use crate::config::Config;
use crate::kernel::domain::{Digest, Mode, Name, Record, Span, Stream};
use crate::kernel::journal::{AppendError, Batch, Journal, ReadError, Row};
use crate::kernel::port::{Registry, World};
use crate::playbook::{self, AlertView, MatchIndex, Playbook};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Files beyond this are not read.
const MAX_FILES: usize = 1_000;
/// Problems of one file that the log tells.
const TOLD: usize = 5;

#[derive(Clone)]
pub struct Loaded {
    pub name: Name,
    pub file: PathBuf,
    pub text: String,
    pub digest: Digest,
    /// `None`: it has problems and cannot start anything.
    pub playbook: Option<Playbook>,
    /// Of the file as it is now.
    pub problems: Vec<String>,
    pub warnings: Vec<String>,
    /// The file as it is now, where that has problems and the form before it stays active.
    pub refused: Option<Refused>,
}

/// A form that did not become active.
#[derive(Clone)]
pub struct Refused {
    pub text: String,
    pub digest: Digest,
}

impl Loaded {
    pub fn service(&self) -> Option<&Name> {
        self.playbook.as_ref().map(|p| &p.service)
    }
    pub fn mode(&self) -> Option<Mode> {
        self.playbook.as_ref().map(|p| p.mode)
    }

    /// This form stays active, though the file is now what `now` says.
    fn behind(self, now: Loaded) -> Loaded {
        let (problems, refused) = match now.digest == self.digest {
            // Its own text did not change: whoever brought the trouble is told of it.
            true => (vec![], None),
            false => (now.problems, Some(Refused { text: now.text, digest: now.digest })),
        };
        Loaded { file: now.file, problems, refused, ..self }
    }

    fn says(&self) {
        let (name, digest) = (&self.name, self.digest.short());
        match (&self.playbook, &self.refused) {
            (Some(_), Some(_)) => {
                tracing::error!(file = %self.file.display(), active = %digest, problems = self.problems.len(),
                    "the file is refused; the last good form of the playbook stays active")
            }
            (Some(p), None) => {
                tracing::info!(playbook = %name, mode = ?p.mode, %digest, "playbook is active")
            }
            (None, _) => {
                tracing::error!(file = %self.file.display(), problems = self.problems.len(), "playbook is NOT active")
            }
        }
        for line in first_lines(&self.problems, &self.file) {
            tracing::error!(playbook = %name, "{line}");
        }
        for warning in &self.warnings {
            tracing::warn!(playbook = %name, "{warning}");
        }
    }

    /// All that tells one form from another.
    fn form(&self) -> (&Name, &Path, Digest, bool, Option<Digest>, &[String]) {
        let refused = self.refused.as_ref().map(|r| r.digest);
        (&self.name, &self.file, self.digest, self.playbook.is_some(), refused, &self.problems)
    }
}

/// In the order of their files; and, once an alert came, which of them it may be meant for.
#[derive(Default)]
pub struct Playbooks(Vec<Loaded>, OnceLock<Indexed>);

struct Indexed {
    index: MatchIndex,
    /// Where the active ones stand in the list.
    active: Vec<usize>,
}

impl From<Vec<Loaded>> for Playbooks {
    fn from(all: Vec<Loaded>) -> Playbooks {
        Playbooks(all, OnceLock::new())
    }
}

impl Playbooks {
    /// Reads every playbook of a folder.
    pub fn read(dir: &Path, config: &Config, registry: &dyn Registry) -> std::io::Result<Playbooks> {
        let files = folder(dir)?;
        let mut all: Vec<Loaded> = files.into_iter().map(|file| load(file, config, registry)).collect();
        refuse_twins(&mut all);
        Ok(all.into())
    }

    /// At a start: what is broken takes the form that the journal says was active last, if that is still good.
    pub async fn remember(
        mut self,
        journal: &Journal,
        config: &Config,
        registry: &dyn Registry,
    ) -> Result<Playbooks, ReadError> {
        let mut taken: BTreeSet<Name> = self.active().map(|(loaded, _)| loaded.name.clone()).collect();
        for place in 0..self.0.len() {
            let now = &self.0[place];
            let name = claimed(&now.text).unwrap_or_else(|| now.name.clone());
            if now.playbook.is_some() || taken.contains(&name) {
                continue;
            }
            let records = journal.newest(&Stream::Playbook(name.clone()), &["loaded"], 1).await?;
            let Some(good) = records.last().and_then(|last| in_force(&last.record)) else { continue };
            // Of two files with one name, the one that still has the text.
            if now.digest != good && self.0.iter().any(|l| l.name == now.name && l.digest == good) {
                continue;
            }
            let kept = journal.backend().content(good).await?;
            let Some(text) = kept.and_then(|bytes| String::from_utf8(bytes).ok()) else { continue };
            let was = of_text(now.file.clone(), text, config, registry);
            if was.playbook.is_some() && was.name == name {
                taken.insert(was.name.clone());
                self.0[place] = was.behind(now.clone());
            }
        }
        Ok(self)
    }

    /// What is broken keeps the form that was active before: of the same file or, where that is gone, of the same name.
    pub fn after(self, before: &Playbooks) -> Playbooks {
        let files: BTreeSet<PathBuf> = self.0.iter().map(|loaded| loaded.file.clone()).collect();
        let mut taken: BTreeSet<Name> = self.active().map(|(loaded, _)| loaded.name.clone()).collect();
        let kept = self.0.into_iter().map(|now| {
            if now.playbook.is_some() {
                return now;
            }
            let same = before.active().map(|(was, _)| was).find(|was| was.file == now.file);
            let moved = || {
                let mut active = before.active().map(|(was, _)| was);
                active.find(|was| was.name == now.name && !files.contains(&was.file))
            };
            match same.or_else(moved) {
                Some(was) if taken.insert(was.name.clone()) => was.clone().behind(now),
                _ => now,
            }
        });
        kept.collect::<Vec<Loaded>>().into()
    }

    /// One line in the log for each that is not as it was in `before`.
    pub fn tell(&self, before: &Playbooks) {
        let known: Vec<_> = before.0.iter().map(Loaded::form).collect();
        self.0.iter().filter(|loaded| !known.contains(&loaded.form())).for_each(Loaded::says);
        for name in self.gone_since(before) {
            tracing::warn!(playbook = %name, "its file is gone: the playbook is NOT active any more");
        }
    }

    pub fn same(&self, other: &Playbooks) -> bool {
        self.0.iter().map(Loaded::form).eq(other.0.iter().map(Loaded::form))
    }

    /// Playbooks that were active in `before`, and that no file defines now.
    fn gone_since<'a>(&self, before: &'a Playbooks) -> Vec<&'a Name> {
        let names: BTreeSet<&Name> = self.0.iter().map(|loaded| &loaded.name).collect();
        before.active().map(|(was, _)| &was.name).filter(|name| !names.contains(name)).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Active ones whose file is broken now.
    pub fn last_good(&self) -> impl Iterator<Item = &Loaded> {
        self.0.iter().filter(|l| l.refused.is_some())
    }
    pub fn all(&self) -> impl Iterator<Item = &Loaded> {
        self.0.iter()
    }
    pub fn active(&self) -> impl Iterator<Item = (&Loaded, &Playbook)> {
        self.0.iter().filter_map(|l| Some((l, l.playbook.as_ref()?)))
    }
    /// The longest cooldown of each service's active playbooks.
    pub fn cooldowns(&self) -> BTreeMap<Name, Span> {
        let mut longest = BTreeMap::new();
        for (_, playbook) in self.active() {
            let known = longest.entry(playbook.service.clone()).or_insert(Span::ZERO);
            *known = playbook.cooldown.unwrap_or(COOLDOWN).max(*known);
        }
        longest
    }
    /// Active ones that may match, in their order; every other one does not.
    pub fn candidates<'a>(&'a self, alert: &AlertView) -> impl Iterator<Item = (&'a Loaded, &'a Playbook)> {
        let indexed = self.1.get_or_init(|| Indexed {
            index: MatchIndex::new(self.active().map(|(_, playbook)| playbook)),
            active: (0..self.0.len()).filter(|place| self.0[*place].playbook.is_some()).collect(),
        });
        indexed.index.candidates(alert).into_iter().filter_map(|place| {
            let loaded = self.0.get(*indexed.active.get(place)?)?;
            Some((loaded, loaded.playbook.as_ref()?))
        })
    }
    pub fn rejected(&self) -> impl Iterator<Item = &Loaded> {
        self.0.iter().filter(|l| l.playbook.is_none())
    }
    /// The active one; only where there is none, a refused one.
    pub fn find(&self, name: &str) -> Option<&Loaded> {
        let mut named = self.0.iter().filter(|l| l.name.as_str() == name);
        named.clone().find(|l| l.playbook.is_some()).or_else(|| named.next())
    }

    /// Writes down what was loaded, text by digest, before it is in force; what is on record already is not written
    /// again.
    pub async fn record(
        &self,
        before: &Playbooks,
        journal: &Journal,
        world: &dyn World,
    ) -> Result<(), AppendError> {
        // One for each name: what is refused says which form stays.
        let mut news: BTreeMap<&Name, (&Loaded, Record)> = BTreeMap::new();
        for loaded in &self.0 {
            let is_news = loaded.playbook.is_none() || loaded.refused.is_some();
            if is_news || !news.contains_key(&loaded.name) {
                news.insert(&loaded.name, (loaded, self.record_of(loaded)));
            }
        }
        for (name, (loaded, record)) in news {
            let (text, digest) = match &loaded.refused {
                Some(refused) => (&refused.text, refused.digest),
                None => (&loaded.text, loaded.digest),
            };
            let row = Row::Content { digest, bytes: text.clone().into_bytes() };
            write(journal, world, name, record, Some(row)).await?;
        }
        for name in self.gone_since(before) {
            let Some(was) = before.find(name.as_str()) else { continue };
            let record = Record::Loaded {
                playbook: name.clone(),
                digest: was.digest,
                active: false,
                problems: vec![format!("PM1263: no file defines it any more; it was {}", was.file.display())],
                stays: None,
            };
            write(journal, world, name, record, None).await?;
        }
        Ok(())
    }

    fn record_of(&self, loaded: &Loaded) -> Record {
        let (digest, active, stays) = match (&loaded.refused, &loaded.playbook) {
            (Some(refused), _) => (refused.digest, false, Some(loaded.digest)),
            (None, Some(_)) => (loaded.digest, true, None),
            (None, None) => {
                let twin = self.active().find(|(other, _)| other.name == loaded.name);
                (loaded.digest, false, twin.map(|(other, _)| other.digest))
            }
        };
        let (playbook, problems) = (loaded.name.clone(), loaded.problems.clone());
        Record::Loaded { playbook, digest, active, problems, stays }
    }
}

/// A line of the log for each of the first problems, and where all of them are told.
fn first_lines(problems: &[String], file: &Path) -> Vec<String> {
    let mut lines: Vec<String> = problems.iter().take(TOLD).cloned().collect();
    if problems.len() > TOLD {
        lines.push(format!("{} more: pointsman check {}", problems.len() - TOLD, file.display()));
    }
    lines
}

/// The name that a file gives itself, also where the rest of it cannot be understood.
fn claimed(text: &str) -> Option<Name> {
    let said =
        text.lines().find_map(|line| line.strip_prefix("playbook")?.trim_start().strip_prefix([':', '=']))?;
    let name = said.split('#').next()?.trim().trim_matches(['"', '\'']);
    (!name.is_empty()).then(|| name.into())
}

/// The form that is active after this record.
fn in_force(record: &Record) -> Option<Digest> {
    match record {
        Record::Loaded { active: true, digest, .. } => Some(*digest),
        Record::Loaded { stays, .. } => *stays,
        _ => None,
    }
}

async fn write(
    journal: &Journal,
    world: &dyn World,
    name: &Name,
    record: Record,
    row: Option<Row>,
) -> Result<(), AppendError> {
    let stream = Stream::Playbook(name.clone());
    let records = journal.newest(&stream, &["loaded"], 1).await;
    let records = records.map_err(|e| AppendError::Unavailable(e.to_string()))?;
    if records.last().is_some_and(|last| last.record == record) {
        return Ok(());
    }
    let seq =
        journal.backend().last_seq(&stream).await.map_err(|e| AppendError::Unavailable(e.to_string()))?;
    let mut batch = Batch::new(world.now()).part(stream, Some(seq), vec![record]);
    if let Some(row) = row {
        batch = batch.row(row);
    }
    journal.append(batch).await.map(drop)
}

/// The playbook files among `paths`; a folder stands for those in it.
pub fn playbook_files(paths: &[PathBuf]) -> std::io::Result<Vec<PathBuf>> {
    let mut files = vec![];
    for path in paths {
        if path.is_dir() {
            files.extend(folder(path)?);
        } else {
            files.push(path.clone());
        }
    }
    files.truncate(MAX_FILES);
    Ok(files)
}

/// In order of their names. What cannot be listed is an error: a file that is not seen is not a file that is gone.
pub(super) fn folder(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = vec![];
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if is_playbook(&path) {
            files.push(path);
        }
    }
    files.sort();
    if files.len() > MAX_FILES {
        tracing::error!(dir = %dir.display(), "only the first {MAX_FILES} playbooks by name are read");
    }
    files.truncate(MAX_FILES);
    Ok(files)
}

fn is_playbook(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let test = name.contains(".test.");
    let kind = [".yaml", ".yml", ".toml"].iter().any(|end| name.ends_with(end));
    kind && !test && !name.starts_with('.') && !name.starts_with("pointsman")
}

fn load(file: PathBuf, config: &Config, registry: &dyn Registry) -> Loaded {
    // Whoever opens a pipe waits for somebody to write into it.
    let regular = std::fs::metadata(&file).map_or(true, |meta| meta.is_file());
    let text = match regular {
        true => playbook::read_file(&file),
        false => Err(std::io::Error::other("it is not a file")),
    };
    match text {
        Ok(text) => of_text(file, text, config, registry),
        Err(error) => Loaded {
            name: stem(&file),
            text: String::new(),
            digest: Digest::of(b""),
            playbook: None,
            problems: vec![format!("PM1200: {} cannot be read: {error}", file.display())],
            warnings: vec![],
            refused: None,
            file,
        },
    }
}

fn stem(file: &Path) -> Name {
    file.file_stem().and_then(|n| n.to_str()).unwrap_or("unnamed").into()
}

fn of_text(file: PathBuf, text: String, config: &Config, registry: &dyn Registry) -> Loaded {
    let (checked, found) = playbook::check(&text, &file.display().to_string(), config, registry);
    let (errors, warnings): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|p| p.severity == playbook::Severity::Error);
    let show = |list: Vec<playbook::Problem>| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let name = checked.as_ref().map_or_else(|| stem(&file), |p| p.name.clone());
    let digest = playbook::digest(&text);
    let playbook = checked.filter(|_| errors.is_empty());
    Loaded {
        name,
        file,
        text,
        digest,
        playbook,
        problems: show(errors),
        warnings: show(warnings),
        refused: None,
    }
}

/// Two files with one name: neither is active, since nobody can say which is meant.
fn refuse_twins(all: &mut [Loaded]) {
    let names: Vec<Name> = all.iter().map(|l| l.name.clone()).collect();
    for loaded in all {
        if names.iter().filter(|n| **n == loaded.name).count() > 1 {
            loaded.playbook = None;
            loaded.problems.push(format!("PM1235: another file also defines the playbook {}", loaded.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_the_first_problems_one_by_one_and_where_the_rest_is() {
        let problems: Vec<String> = (1..=7).map(|n| format!("PM12{n:02}: no")).collect();
        let file = Path::new("playbooks/shop.yaml");
        assert_eq!(first_lines(&problems[..5], file), problems[..5]);
        let lines = first_lines(&problems, file);
        assert_eq!((lines.len(), lines[5].as_str()), (6, "2 more: pointsman check playbooks/shop.yaml"));
        assert!(first_lines(&[], file).is_empty());
    }
}
