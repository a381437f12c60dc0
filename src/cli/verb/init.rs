//! `pointsman init`: a configuration and a playbook to begin with, from a few questions or flags. What is shipped and tried is
//! what is written, with names and addresses put in; it only observes until a person changes that.

use crate::cli::{Exit, Fault, Talk};
use crate::config;
use crate::playbook;
use crate::provider::{Ports, ProviderRegistry};
use crate::units::counted;
use clap::{Args, ValueEnum};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// A PostgreSQL pair, the application's hosts, and a name
    Postgres,
    /// Two sites that both serve, and a name that leads to one of them
    Dns,
}

#[derive(Clone, Debug, Args)]
pub struct InitArgs {
    /// Where pointsman.toml and playbooks/ are written; nothing that is there is changed
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// What is moved
    #[arg(long, value_enum)]
    pub shape: Option<Shape>,
    /// Name of the service
    #[arg(long, value_parser = word)]
    pub service: Option<String>,
    /// The site that serves now
    #[arg(long, value_name = "SITE", value_parser = word)]
    pub from: Option<String>,
    /// The site that shall serve when that is lost
    #[arg(long, value_name = "SITE", value_parser = word)]
    pub to: Option<String>,
    /// The name that users know
    #[arg(long, value_name = "NAME", value_parser = domain)]
    pub domain: Option<String>,
    /// Its address at the first site
    #[arg(long, value_name = "IPV4")]
    pub from_address: Option<Ipv4Addr>,
    /// Its address at the second site
    #[arg(long, value_name = "IPV4")]
    pub to_address: Option<Ipv4Addr>,
    /// The same for IPv6; without these two the playbook moves no AAAA record
    #[arg(long, value_name = "IPV6", requires = "to_address6")]
    pub from_address6: Option<Ipv6Addr>,
    #[arg(long, value_name = "IPV6", requires = "from_address6")]
    pub to_address6: Option<Ipv6Addr>,
    /// Where this Pointsman will run: at neither of the two
    #[arg(long, value_name = "SITE", value_parser = word)]
    pub site: Option<String>,
}

fn word(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let whole = !text.is_empty() && text.len() <= 40 && text.chars().all(good);
    match whole && text.starts_with(|c: char| c.is_ascii_lowercase()) && !text.ends_with('-') {
        true => Ok(text.to_owned()),
        false => Err("a name is of small letters, digits and -, and begins with a letter".into()),
    }
}

fn domain(text: &str) -> Result<String, String> {
    let name = crate::provider::dns::normal_name(text)?;
    let bare = name.trim_end_matches('.').to_owned();
    if bare.contains('.') { Ok(bare) } else { Err(format!("{text:?} is no name that users can reach")) }
}

/// Everything that was asked.
struct Answers {
    shape: Shape,
    service: String,
    from: String,
    to: String,
    domain: String,
    addresses: [Ipv4Addr; 2],
    addresses6: Option<[Ipv6Addr; 2]>,
    site: String,
}

/// Writes all files, or none.
pub fn run(args: &InitArgs, talk: &mut Talk) -> anyhow::Result<Exit> {
    let answers = ask(args, talk)?;
    let playbook = format!("{}-failover", answers.service);
    let folder = args.dir.join("playbooks");
    let files = [
        (args.dir.join("pointsman.toml"), with_names(&config_of(answers.shape), &answers)),
        (folder.join(format!("{playbook}.yaml")), with_names(&text_of(answers.shape), &answers)),
        (folder.join("playbook.schema.json"), SCHEMA.to_owned()),
    ];
    if let Some((there, _)) = files.iter().find(|(path, _)| path.exists()) {
        return Err(Fault::new(Exit::Conflict, "PM0015", format!("{} is there already", there.display()))
            .state("nothing was written")
            .remedy("name another directory, or move it away")
            .into());
    }
    let found = problems(&files);
    if !found.is_empty() {
        return Err(Fault::new(
            Exit::Invalid,
            "PM0016",
            format!("what would be written is not valid:\n{}", found.join("\n")),
        )
        .state("nothing was written")
        .remedy("give other names; or copy the files of playbooks/ and put in your own")
        .into());
    }
    for (path, text) in &files {
        write_new(path, text)?;
        talk.print(&path.display().to_string())?;
    }
    for line in next_steps(&args.dir, &answers, &playbook) {
        talk.say(&line);
    }
    Ok(Exit::Done)
}

fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    use anyhow::Context as _;
    use std::io::Write as _;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    let opened = std::fs::File::options().write(true).create_new(true).open(path);
    let mut file = opened.with_context(|| format!("{} cannot be written", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("{} cannot be written", path.display()))
}

/// Errors only: that nobody has put in their own credentials yet is no error.
fn problems(files: &[(PathBuf, String)]) -> Vec<String> {
    let [(config_path, config_text), (path, text), ..] = files else { return vec![] };
    let (config, found) = config::parse(config_text, &config_path.display().to_string());
    let Some(config) = config.map(Arc::new) else {
        return found.iter().map(ToString::to_string).collect();
    };
    let registry = ProviderRegistry { config: config.clone(), ports: Ports::real(config.clone()) };
    let (_, found) = playbook::check(text, &path.display().to_string(), &config, &registry);
    let errors = found.iter().filter(|problem| problem.severity == playbook::Severity::Error);
    errors.map(ToString::to_string).collect()
}

const CONFIG: &str = include_str!("../../../playbooks/pointsman.example.toml");
const SCHEMA: &str = include_str!("../../../playbooks/playbook.schema.json");

/// What the playbook does not name is left out.
fn config_of(shape: Shape) -> String {
    let named = |block: &&str| {
        let of = |start: &str| block.trim_start().starts_with(start);
        let database = of("[probes.") && block.lines().next().is_some_and(|head| head.ends_with("-db]"));
        shape == Shape::Postgres || !(database || (of("[targets.") && !of("[targets.zone-")))
    };
    CONFIG.split("\n\n").filter(named).collect::<Vec<_>>().join("\n\n")
}

fn text_of(shape: Shape) -> String {
    let text = match shape {
        Shape::Postgres => include_str!("../../../playbooks/postgres-two-sites.yaml"),
        Shape::Dns => include_str!("../../../playbooks/dns-only.yaml"),
    };
    // Shows what a trigger can be, and would start a service of this name only.
    let lines = text.lines().filter(|line| !line.contains("- when: alert."));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Whole words only: `gra` in `pg-gra`, and not in `paragraph`.
fn put_in(text: &str, old: &str, new: &str) -> String {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(old) {
        let (before, after) = (&rest[..at], &rest[at + old.len()..]);
        let whole = !part(before.chars().next_back().or_else(|| out.chars().next_back()))
            && !part(after.chars().next());
        out.push_str(before);
        out.push_str(if whole { new } else { old });
        rest = after;
    }
    out + rest
}

/// By marks that no answer holds, so that one answer never changes another.
fn with_names(text: &str, answers: &Answers) -> String {
    let [from, to] = answers.addresses.map(|address| address.to_string());
    let [from6, to6] = match answers.addresses6 {
        Some(both) => both.map(|address| address.to_string()),
        None => [String::new(), String::new()],
    };
    let mut names = vec![
        ("shop.example.com", answers.domain.clone()),
        ("198.51.100.10", from),
        ("203.0.113.20", to),
        ("2001:db8:a::10", from6),
        ("2001:db8:b::20", to6),
        ("gra", answers.from.clone()),
        ("sbg", answers.to.clone()),
        ("par", answers.site.clone()),
        ("shop", answers.service.clone()),
    ];
    if answers.shape == Shape::Dns {
        names
            .extend([("web-dns", format!("{}-failover", answers.service)), ("web", answers.service.clone())]);
    }
    let mut text = text.to_owned();
    if answers.addresses6.is_none() {
        text = without_ipv6(&text);
    }
    for (number, (old, _)) in names.iter().enumerate() {
        text = put_in(&text, old, &mark(number));
    }
    for (number, (_, new)) in names.iter().enumerate() {
        text = text.replace(&mark(number), new);
    }
    text
}

fn mark(number: usize) -> String {
    format!("\u{1}{number}\u{2}")
}

fn without_ipv6(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.contains("type: AAAA"));
    let lines = lines.map(|line| match line.split_once(", address6: ") {
        Some((before, _)) => format!("{before} }}"),
        None => line.to_owned(),
    });
    lines.map(|line| line + "\n").collect()
}

fn ask(args: &InitArgs, talk: &mut Talk) -> Result<Answers, Fault> {
    let mut asked = Asked { talk, missing: vec![] };
    let shape = args.shape.or_else(|| {
        let text = asked.question(
            "shape",
            "What is moved: postgres (a pair, hosts, a name) or dns (a name alone)?",
            "dns",
        )?;
        <Shape as ValueEnum>::from_str(&text, true).ok()
    });
    let service =
        args.service.clone().or_else(|| asked.until("service", "Name of the service", "shop", word));
    let from = args.from.clone().or_else(|| asked.until("from", "The site that serves now", "site-a", word));
    let to = args
        .to
        .clone()
        .or_else(|| asked.until("to", "The site that shall serve when that is lost", "site-b", word));
    let site = args
        .site
        .clone()
        .or_else(|| asked.until("site", "The third place, where Pointsman will run", "site-c", word));
    let domain = args
        .domain
        .clone()
        .or_else(|| asked.until("domain", "The name that users know", "shop.example.com", domain));
    let ipv4 = |text: &str| text.parse::<Ipv4Addr>().map_err(|e| e.to_string());
    let from_address = args
        .from_address
        .or_else(|| asked.until("from-address", "Its IPv4 address at the first site", "198.51.100.10", ipv4));
    let to_address = args
        .to_address
        .or_else(|| asked.until("to-address", "Its IPv4 address at the second site", "203.0.113.20", ipv4));
    let missing = asked.missing;
    let bad = |says: String| {
        Fault::new(Exit::Usage, "PM0002", says)
            .state("nothing was written")
            .remedy("give them as flags; pointsman init --help")
    };
    let (Some(shape), Some(service), Some(from), Some(to), Some(site), Some(domain), Some(a), Some(b)) =
        (shape, service, from, to, site, domain, from_address, to_address)
    else {
        let flags: Vec<String> = missing.iter().map(|flag| format!("--{flag}")).collect();
        return Err(bad(format!(
            "{} not answered, and nobody can be asked here: {}",
            counted(flags.len(), "question"),
            flags.join(", ")
        )));
    };
    if from == to || from == site || to == site {
        return Err(bad(format!(
            "{from}, {to} and {site} must be three places: whoever runs at a lost site is lost with it"
        )));
    }
    let addresses6 = args.from_address6.zip(args.to_address6).map(|(a, b)| [a, b]);
    Ok(Answers { shape, service, from, to, domain, addresses: [a, b], addresses6, site })
}

/// Whoever sits there; and what nobody answered.
struct Asked<'a> {
    talk: &'a mut Talk,
    missing: Vec<&'static str>,
}

impl Asked<'_> {
    /// An empty answer is the usual one.
    fn question(&mut self, flag: &'static str, text: &str, usual: &str) -> Option<String> {
        if self.talk.answers.is_none() {
            self.missing.push(flag);
            return None;
        }
        let mut line = String::new();
        self.talk.prompt(&format!("{text} [{usual}]: "));
        let read = self.talk.answers.as_mut().map(|answers| answers.read_line(&mut line));
        match read {
            Some(Ok(1..)) => {
                Some(if line.trim().is_empty() { usual.to_owned() } else { line.trim().to_owned() })
            }
            _ => {
                self.missing.push(flag);
                None
            }
        }
    }

    /// Three times, then it counts as not answered.
    fn until<T>(
        &mut self,
        flag: &'static str,
        text: &str,
        usual: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        for _ in 0..3 {
            let answer = self.question(flag, text, usual)?;
            match read(&answer) {
                Ok(value) => return Some(value),
                Err(why) => self.talk.say(&why),
            }
        }
        self.missing.push(flag);
        None
    }
}

fn next_steps(dir: &Path, answers: &Answers, playbook: &str) -> Vec<String> {
    let at = |name: &str| dir.join(name).display().to_string();
    let (config, folder) = (at("pointsman.toml"), at("playbooks"));
    vec![
        format!(
            "{playbook} moves {} from {} to {}, and only observes.",
            answers.domain, answers.from, answers.to
        ),
        format!(
            "1. Put your servers and credentials into {config}; the addresses of 198.51.100.0/24 and 203.0.113.0/24 that are left lead nowhere."
        ),
        format!("2. pointsman check --config {config} {folder}"),
        format!("3. pointsman test --config {config} {folder}"),
        format!("4. pointsman serve --config {config} --playbooks {folder} --data {}", at("data")),
        format!("5. pointsman ready {playbook}, until it is"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(shape: Shape, six: bool) -> Answers {
        Answers {
            shape,
            service: "blog".into(),
            // Names that hold each other, and what is replaced.
            from: "paris".into(),
            to: "gra".into(),
            domain: "www.par.example.org".into(),
            addresses: [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)],
            addresses6: six.then_some([Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED]),
            site: "third".into(),
        }
    }

    #[test]
    fn what_is_written_is_valid_whatever_the_names_are() {
        for (shape, six) in
            [(Shape::Dns, false), (Shape::Dns, true), (Shape::Postgres, false), (Shape::Postgres, true)]
        {
            let answers = answers(shape, six);
            let files = [
                (PathBuf::from("pointsman.toml"), with_names(&config_of(shape), &answers)),
                (PathBuf::from("blog.yaml"), with_names(&text_of(shape), &answers)),
            ];
            assert_eq!(problems(&files), Vec::<String>::new(), "{shape:?}");
            let [(_, config), (_, text)] = &files;
            assert_eq!(text.contains("AAAA"), six, "{text}");
            for word in [
                "playbook: blog-failover",
                "service: blog\n",
                "from: paris\n",
                "to: gra\n",
                "www.par.example.org",
                "192.0.2.2",
            ] {
                assert!(text.contains(word), "no {word:?}: {text}");
            }
            for old in ["sbg", "shop", "198.51.100.10"] {
                assert!(!text.contains(old), "{old} is left: {text}");
            }
            assert!(config.contains("site = \"third\"") && !config.contains("sbg"), "{config}");
            assert_eq!(config.contains("postgres"), shape == Shape::Postgres, "{config}");
        }
    }

    #[test]
    fn only_whole_words_are_replaced() {
        assert_eq!(put_in("gra pg-gra paragraph gra1 gra.", "gra", "x"), "x pg-x paragraph gra1 x.");
    }
}
