//! Playbooks of many shapes over the places of the example configuration, as text: what `check` lets through is legal.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::subsequence;
use std::fmt::Write as _;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// Lockout by SQL.
    Sql,
    /// Stop and mask, over SSH.
    Ssh,
    /// A person pulls the plug.
    Hand,
}

/// What a playbook is made of, beside the promotion that all have.
#[derive(Clone, Debug)]
pub struct Book {
    pub approve: bool,
    /// `replica is fresh`, `still firing`, `destination is healthy`.
    pub guards: Vec<usize>,
    pub ladder: Vec<Rung>,
    /// The same ladder, backwards, as a second fence step.
    pub second_fence: bool,
    pub accept_unfenced: bool,
    pub fence_undo: bool,
    pub promote_undo: bool,
    /// An optional look that cannot succeed, before the fence.
    pub optional_look: bool,
    pub attempts: u8,
    /// File and restart on each host, the look at the application, the name.
    pub moves_app: bool,
    pub looks: bool,
    pub moves_name: bool,
    /// Where somebody takes the order out of the resolved run: the promotion stands on its need alone.
    pub disordered: bool,
}

pub fn books() -> impl Strategy<Value = Book> {
    let ladders = subsequence(vec![Rung::Sql, Rung::Ssh, Rung::Hand], 1..=3).prop_shuffle();
    let guards = subsequence(vec![0, 1, 2], 0..=3);
    (ladders, guards, 1..4_u8, vec(any::<bool>(), 10)).prop_map(|(ladder, guards, attempts, flags)| Book {
        guards,
        ladder,
        attempts,
        approve: flags[0] && flags[1],
        second_fence: flags[2] && flags[1],
        accept_unfenced: flags[3],
        fence_undo: flags[4],
        promote_undo: flags[5],
        optional_look: flags[6] && flags[4],
        moves_app: flags[7],
        looks: flags[7] && flags[8],
        moves_name: flags[8],
        disordered: flags[9],
    })
}

const HEAD: &str = "\
playbook: generated
service: shop
kind: failover
sites:
  gra: { db: pg-gra, app: app-gra, address: 198.51.100.10 }
  sbg: { db: pg-sbg, app: app-sbg, address: 203.0.113.20 }
from: gra
to: sbg
triggers:
  - alertmanager: { alertname: SiteDown, site: gra, severity: critical }
limits: { cooldown: 1h }
guards:
  - name: origin is down
    quorum: { probes: [gra-app], vantages: [local, blackbox-par, blackbox-ams], down: majority }
";

const GUARDS: [&str; 3] = [
    "  - name: replica is fresh\n    postgres.lag: { target: \"${to.db}\", max_bytes: 16MiB, max_seconds: 10, max_sample_age: 30s }\n",
    "  - name: still firing\n    still_firing: { or: origin is down }\n",
    "  - name: destination is healthy\n    quorum: { probes: [sbg-db], vantages: [local, blackbox-par, blackbox-ams], up: majority }\n",
];

impl Book {
    pub fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        let mode = if self.approve { "approve" } else { "auto" };
        self.guards.iter().for_each(|guard| text.push_str(GUARDS[*guard]));
        let _ = write!(text, "mode: {mode}\napproval: {{ need: 1, expires: 15m }}\nsteps:\n");
        let mut last = String::new();
        let mut step = |name: &str, body: &str| {
            let _ = write!(text, "  - name: {name}\n{body}    after: [{last}]\n");
            last = name.to_owned();
        };
        if self.optional_look {
            let url = "https://nowhere.shop.example.com/";
            let look = format!(
                "    action: http.expect\n    optional: true\n    with: {{ url: \"{url}\", within: 2s }}\n"
            );
            step("an optional look", &look);
        }
        step("fence", &self.fence(false));
        if self.second_fence {
            step("fence again", &self.fence(true));
        }
        let undo = if self.promote_undo { "    on_failure: undo\n" } else { "" };
        let retry = self.retry();
        step(
            "promote",
            &format!(
                "    action: postgres.promote\n    commit_point: true\n{undo}{retry}\
                 \x20   with: {{ target: \"${{to.db}}\", old: \"${{from.db}}\" }}\n"
            ),
        );
        self.after_it(&mut step);
        text.push_str("verify:\n  - action: sql.write_probe\n    with: { target: \"${to.db}\", as: app }\n");
        text
    }

    fn after_it(&self, step: &mut impl FnMut(&str, &str)) {
        let retry = self.retry();
        let each = "    for_each: { host: \"${target(to.app).hosts}\" }\n";
        if self.moves_app {
            let render = "    action: file.render\n    with: { target: \"${host}\", file: /etc/shop/env, set: { DATABASE_HOST: \
                          \"${target(to.db).address}\" } }\n";
            step("point", &format!("{each}{render}{retry}"));
            let restart = "    action: command.run\n    with: { target: \"${host}\", run: restart-shop, check: \
                           shop-is-current, irreversible: true, timeout: 60s }\n";
            step("restart", &format!("{each}{restart}"));
        }
        if self.looks {
            let look = "    action: http.expect\n    with: { url: \"https://shop.example.com/healthz?deep=1\", resolve_to: \
                        \"${to.address}\", status: 200, within: 60s }\n";
            step("look", look);
        }
        if self.moves_name {
            let name = "    action: dns.record\n    with: { target: zone-shop, ttl: 60, records: [{ name: shop.example.com, \
                        type: A, values: [\"${to.address}\"] }] }\n";
            step("name", &format!("{name}{retry}"));
        }
    }

    fn retry(&self) -> String {
        format!("    retry: {{ attempts: {}, backoff: 1s..5s }}\n", self.attempts)
    }

    fn fence(&self, backwards: bool) -> String {
        let mut rungs: Vec<&str> = self
            .ladder
            .iter()
            .map(|rung| match rung {
                Rung::Sql => {
                    "action: postgres.fence\n        with: { target: \"${from.db}\", min_rung: lockout }\n"
                }
                Rung::Ssh => {
                    "action: command.run\n        with: { target: \"${target(from.db).host}\", run: fence, check: fenced, undo: \
                     unfence, timeout: 20s }\n        proves: { fenced: \"${from.db}\", rung: stopped }\n"
                }
                Rung::Hand => {
                    "manual: Power it off, then confirm.\n        proves: { fenced: \"${from.db}\", rung: powered_off }\n"
                }
            })
            .collect();
        if backwards {
            rungs.reverse();
        }
        let mut text = "    any_of:\n".to_owned();
        rungs.iter().for_each(|rung| {
            let _ = write!(text, "      - {rung}");
        });
        if self.accept_unfenced {
            text.push_str("    accept_unfenced: { role: incident-lead }\n");
        }
        if self.fence_undo {
            text.push_str("    on_failure: undo\n");
        }
        text.push_str(&self.retry());
        text
    }
}
