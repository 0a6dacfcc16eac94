//! Who is malicious: ids, and names of clients.

use super::{ClientRef, Malicious, Problems, RunConfig};
use crate::data::DataConfig;
use crate::fed::Partition;
use crate::input::shorten;

/// Largest number of names in a message.
const LISTED: usize = 20;
/// Largest number of bytes of a name in a message.
const LONGEST: usize = 100;

/// Ids of the malicious clients, ascending, each once. Names are looked up in the data.
pub(super) fn malicious(config: &RunConfig, problems: &mut Problems) -> Vec<u32> {
    let clients = config.federation.clients;
    let one: [ClientRef; 1];
    let refs: &[ClientRef] = match &config.attack.malicious {
        // A list of a rejected number of clients could take all memory.
        Malicious::Count(_) if problems.mention("federation.clients") => return Vec::new(),
        Malicious::Count(count) if *count > clients => {
            problems.refuse("attack.malicious", count, &format!("at most {clients} (federation.clients)"));
            return Vec::new();
        }
        Malicious::Count(count) => return (0..*count).collect(),
        Malicious::Ids(ids) => return checked(ids.clone(), &format!("{ids:?}"), clients, problems),
        Malicious::Mixed(refs) => refs,
        Malicious::Name(name) => {
            one = [ClientRef::Name(name.clone())];
            &one
        }
    };
    let Some(names) = names(config, problems) else { return Vec::new() };
    let mut ids = Vec::new();
    for client in refs {
        match client {
            ClientRef::Id(id) => ids.push(*id),
            ClientRef::Name(name) => match names.iter().position(|n| n == name) {
                Some(id) => ids.push(id as u32),
                None => {
                    problems.push(unknown(name, &names));
                }
            },
        }
    }
    let found: Vec<String> = refs.iter().map(told).collect();
    checked(ids, &format!("[{}]", found.join(", ")), clients, problems)
}

fn told(client: &ClientRef) -> String {
    match client {
        ClientRef::Id(id) => id.to_string(),
        ClientRef::Name(name) => format!("{:?}", shorten(name, LONGEST)),
    }
}

/// The clients' names; `None`, with a problem reported, if they have none.
fn names(config: &RunConfig, problems: &mut Problems) -> Option<Vec<String>> {
    let source = &config.data.source;
    let need = match source {
        DataConfig::Folder { .. } | DataConfig::Manifest { .. } => "federation.partition = \"sites\"",
        _ => "data.kind = \"folder\" or \"manifest\"",
    };
    if !(config.federation.partition == Partition::Sites && need.starts_with("federation")) {
        problems.push(format!("attack.malicious: names of clients need {need}; without it clients only have ids"));
        return None;
    }
    match source.client_names() {
        Ok(names) => Some(names),
        Err(error) => {
            problems.push(format!("attack.malicious: the clients' names cannot be read: {error}"));
            None
        }
    }
}

fn unknown(name: &str, names: &[String]) -> String {
    let score = |known: &&String| strsim::normalized_damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase());
    // Distances take time: skipped for names too long to be typing errors.
    let near = (name.len() <= LONGEST).then(|| names.iter().max_by(|a, b| score(a).total_cmp(&score(b)))).flatten();
    let near = near.map_or(String::new(), |near| format!("; the nearest is {near:?}"));
    let more = names.len().saturating_sub(LISTED);
    let listed: Vec<String> = names.iter().take(LISTED).enumerate().map(|(id, n)| format!("{id} {n}")).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let name = shorten(name, LONGEST);
    format!("attack.malicious: no client {name:?}{near}; there are: {}{more}", listed.join(", "))
}

/// Checks that `ids`, sorted, are distinct clients; `found` is the text in the file.
fn checked(ids: Vec<u32>, found: &str, clients: u32, problems: &mut Problems) -> Vec<u32> {
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    sorted.dedup();
    problems.require(sorted.len() == ids.len(), "attack.malicious", found, "without repetitions");
    if sorted.iter().any(|id| *id >= clients) {
        let last = clients.saturating_sub(1);
        problems.refuse("attack.malicious", found, &format!("client ids from 0 to {last}"));
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::super::{Overrides, load};
    use std::path::Path;

    fn hospitals(names: &[&str]) -> tempfile::TempDir {
        let root = tempfile::TempDir::new().unwrap();
        for name in names {
            std::fs::create_dir(root.path().join(name)).unwrap();
            image::GrayImage::new(16, 16).save(root.path().join(name).join("1.png")).unwrap();
        }
        root
    }

    fn plan(root: &Path, clients: usize, malicious: &str) -> Result<Vec<u32>, String> {
        let set = [
            format!("data={{ kind = \"folder\", path = {:?} }}", root),
            "federation.partition=sites".into(),
            format!("federation.clients={clients}"),
            format!("attack.malicious={malicious}"),
        ];
        let overrides = Overrides { set: set.to_vec(), ..Overrides::default() };
        load(None, &overrides).map(|plan| plan.attack.malicious).map_err(|e| {
            assert_eq!(e.exit_code(), 2);
            e.to_string()
        })
    }

    #[test]
    fn names_and_ids_are_the_same_clients() {
        let names = ["client10", "client2", "client1", "3", "Süd Klinik"];
        let root = hospitals(&names);
        // In natural order: 3, client1, client2, client10, Süd Klinik.
        for (malicious, ids) in [
            ("[\"client10\"]", vec![3]),
            ("[\"client2\", 0]", vec![0, 2]),
            ("[4, \"client1\"]", vec![1, 4]),
            ("[\"Süd Klinik\", \"client1\"]", vec![1, 4]),
            // A name of digits is a name where it is a string, an id where it is a number.
            ("[\"3\"]", vec![0]),
            ("[3]", vec![3]),
            ("\"client2\"", vec![2]),
            ("client2", vec![2]),
            ("2", vec![0, 1]),
            ("[]", vec![]),
        ] {
            assert_eq!(plan(root.path(), 5, malicious).unwrap(), ids, "{malicious}");
        }
    }

    #[test]
    fn unknown_and_repeated_names_are_one_clear_error() {
        let root = hospitals(&["hospital1", "hospital2", "hospital10"]);
        for (malicious, needle) in [
            ("[\"hospitel10\"]", "no client \"hospitel10\"; the nearest is \"hospital10\""),
            ("[\"HOSPITAL2\"]", "the nearest is \"hospital2\"; there are: 0 hospital1, 1 hospital2, 2 hospital10"),
            ("[\"hospital2\", 1]", "attack.malicious = [\"hospital2\", 1]: must be without repetitions"),
            ("[\"hospital2\", 9]", "client ids from 0 to 2"),
            ("[true]", "a whole number, a name, or a list of them"),
        ] {
            let text = plan(root.path(), 3, malicious).unwrap_err();
            assert!(text.contains(needle), "{malicious}: {text}");
        }
        let text = plan(&root.path().join("absent"), 3, "[\"hospital1\"]").unwrap_err();
        assert!(text.contains("no such folder"), "{text}");
        let of = |set: &[&str]| {
            let overrides = Overrides { set: set.iter().map(ToString::to_string).collect(), ..Overrides::default() };
            load(None, &overrides).unwrap_err().to_string()
        };
        assert!(of(&["attack.malicious=[\"a\"]"]).contains("need data.kind = \"folder\""));
        let path = format!("data={{ kind = \"folder\", path = {:?} }}", root.path());
        assert!(of(&[&path, "attack.malicious=[\"hospital1\"]"]).contains("need federation.partition"));
    }

    #[test]
    fn a_manifest_names_its_clients() {
        let root = tempfile::TempDir::new().unwrap();
        let list = root.path().join("list.csv");
        let plan = |text: &str, partition: &str, malicious: &str| {
            std::fs::write(&list, text).unwrap();
            let data = format!("data={{ kind = \"manifest\", path = {list:?} }}");
            let set = [data.as_str(), partition, malicious, "federation.clients=2"].map(String::from).to_vec();
            load(None, &Overrides { set, ..Overrides::default() })
                .map(|plan| plan.attack.malicious)
                .map_err(|e| e.to_string())
        };
        let (sites, south) = ("federation.partition=sites", "attack.malicious=[\"south 9\"]");
        let text = "file,client\na.png,south 10\nb.png,south 9\n";
        assert_eq!(plan(text, sites, south).unwrap(), [0]);
        assert_eq!(plan(text, "federation.partition=client-folders", south).unwrap(), [0]);
        assert!(
            plan(text, "federation.partition=iid", south)
                .unwrap_err()
                .contains("need federation.partition = \"sites\"")
        );
        assert!(plan("file\na.png\n", sites, south).unwrap_err().contains("no column `client`"));
        assert!(plan("file,client\na.png,\n", sites, south).unwrap_err().contains("line 2: no client"));
    }
}
