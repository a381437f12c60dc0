//! The roads to the REST APIs of Patroni's members, which go bad on request, all in the same way.

use super::fixture::Trouble;
use lab::providers::{Faulty, Mishap, Which};
use lab::{Patroni, Site};
use std::time::Duration;

pub struct Roads(Vec<(Site, Faulty)>);

fn is_write(method: &str, _path: &str) -> bool {
    method != "GET"
}

impl Roads {
    pub async fn before(patroni: &Patroni, members: impl IntoIterator<Item = Site>) -> Roads {
        let mut roads = vec![];
        for site in members {
            roads.push((site, Faulty::start(patroni.api(site), is_write).await.unwrap()));
        }
        Roads(roads)
    }

    /// Where a member is reached.
    pub fn to(&self, site: Site) -> String {
        let found = self.0.iter().find(|(at, _)| *at == site);
        found.map(|(_, road)| road.url()).expect("a road to each member")
    }

    /// `lie`: what Patroni says when it has done it. False: no road goes bad like that.
    pub fn plant(&self, trouble: Trouble, lie: String) -> bool {
        let answer = |status, body: &str| Mishap::Answer { status, headers: vec![], body: body.to_owned() };
        let (which, mishap) = match trouble {
            Trouble::Denied => (Which::Writes, answer(403, "no")),
            Trouble::Missing => (Which::Writes, answer(404, "no")),
            Trouble::Broken => (Which::Writes, answer(503, "Switchover status unknown")),
            Trouble::Closed => {
                self.0.iter().for_each(|(_, road)| road.close());
                return true;
            }
            Trouble::Swallowed => (Which::Writes, Mishap::Swallow),
            Trouble::LostReply => (Which::Writes, Mishap::LoseReply),
            Trouble::Garbage => (Which::Writes, Mishap::Garbage),
            Trouble::Late(seconds) => (Which::Writes, Mishap::Late(Duration::from_secs(seconds))),
            Trouble::Lie => (Which::Writes, answer(200, &lie)),
            Trouble::ReadFails => (Which::Reads, answer(502, "")),
            Trouble::ReadDenied => (Which::Reads, answer(401, "no")),
            Trouble::ReadGarbage => (Which::Reads, Mishap::Garbage),
            Trouble::Refused | Trouble::Limited(_) | Trouble::ReadLimited(_) | Trouble::StaleRead => {
                return false;
            }
        };
        self.0.iter().for_each(|(_, road)| road.plant(which, mishap.clone()));
        true
    }

    pub async fn calm(&self) {
        for (_, road) in &self.0 {
            road.calm();
            road.close();
            let mut open = false;
            for _ in 0..100 {
                open = road.open().await.is_ok();
                if open {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert!(open, "the road does not open again");
        }
    }
}
