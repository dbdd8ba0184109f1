//! `user[:group]` of an image's config, looked up in the image's own /etc/passwd and /etc/group (OCI image-spec,
//! config.md, "User", and conversion.md, "Config.User").
//!
//! A name of digits is a number, whatever the files say: an image must not make a number mean another one
//! (CVE-2016-3697).

use anyhow::{Context, Result, ensure};

use crate::tree::Tree;

/// /etc/passwd and /etc/group of no honest image are larger.
const FILE_MAX: u64 = 4 << 20;

/// `process.user` of a runtime config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub additional_gids: Vec<u32>,
}

/// Resolves `text` in `tree`; an empty one is root.
///
/// A number without a group takes the group that passwd has for it, 0 where it has none, as engines do; the additional
/// groups are those of a user given by name, where no group was given.
pub fn resolve(text: &str, tree: &Tree) -> Result<User> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let passwd = lines(tree, b"etc/passwd")?;
    let by_name = |name: &str| {
        passwd
            .iter()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields.first() == Some(&name))
    };
    let mut found = User::default();
    let mut named = None;
    if user.is_empty() {
        // The other half alone, or nothing at all.
    } else if let Some(uid) = id(user)? {
        found.uid = uid;
        let own = passwd.iter().map(|line| line.split(':').collect::<Vec<_>>());
        let own = own.filter(|fields| fields.get(2).is_some_and(|text| text.parse() == Ok(uid)));
        found.gid = own.filter_map(|fields| fields.get(3)?.parse().ok()).next().unwrap_or(0);
    } else {
        let fields = by_name(user)
            .with_context(|| format!("user \"{}\": not in the image's /etc/passwd", user.escape_debug()))?;
        let number = |at: usize| fields.get(at).and_then(|text| text.parse().ok());
        let broken = || format!("user \"{user}\": the image's /etc/passwd has no number for it");
        found.uid = number(2).with_context(broken)?;
        found.gid = number(3).with_context(broken)?;
        named = Some(user);
    }
    match group {
        Some(group) => found.gid = gid(group, tree)?,
        None => {
            if let Some(name) = named {
                found.additional_gids = memberships(name, found.gid, tree)?;
            }
        }
    }
    Ok(found)
}

/// A group's number: itself, or what the image's /etc/group has for the name.
pub fn gid(group: &str, tree: &Tree) -> Result<u32> {
    if let Some(gid) = id(group)? {
        return Ok(gid);
    }
    let lines = lines(tree, b"etc/group")?;
    let mut groups = lines.iter().map(|line| line.split(':').collect::<Vec<_>>());
    let found = groups.find(|fields| fields.first() == Some(&group));
    let gid = found.and_then(|fields| fields.get(2)?.parse().ok());
    gid.with_context(|| format!("group \"{}\": not in the image's /etc/group", group.escape_debug()))
}

/// The number that `text` is, if it is one.
fn id(text: &str) -> Result<Option<u32>> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    let number = text.parse::<u32>().ok().filter(|id| *id != u32::MAX);
    ensure!(number.is_some(), "the id {text} is too large");
    Ok(number)
}

fn memberships(user: &str, primary: u32, tree: &Tree) -> Result<Vec<u32>> {
    let mut gids = Vec::new();
    for line in lines(tree, b"etc/group")? {
        let fields: Vec<&str> = line.split(':').collect();
        let is_member = fields.get(3).is_some_and(|members| members.split(',').any(|member| member == user));
        let gid = fields.get(2).and_then(|text| text.parse::<u32>().ok());
        gids.extend(gid.filter(|gid| is_member && *gid != primary));
    }
    gids.sort_unstable();
    gids.dedup();
    Ok(gids)
}

fn lines(tree: &Tree, path: &[u8]) -> Result<Vec<String>> {
    let bytes = tree.read(path, FILE_MAX)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().map(str::trim).filter(|line| !line.starts_with('#')).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::new();
        let passwd = "root:x:0:0:root:/root:/bin/sh\n# web is for the server\nweb:x:33:34::/:\n\
                      1000:x:0:0:a trap:/:\nbroken:x:no:0::/:\nshort\nfirst:x:7:8::/:\nfirst:x:0:0::/:\n";
        tree.file("usr/lib/passwd", 0o644, passwd).unwrap();
        tree.symlink("etc/passwd", "/usr/lib/passwd").unwrap();
        let group = "root:x:0:\nwww:x:34:web\ntty:x:5:web,first\nvideo:x:44:first,web\n2000:x:1:\n";
        tree.file("etc/group", 0o644, group).unwrap();
        tree
    }

    fn found(text: &str) -> (u32, u32, Vec<u32>) {
        let user = resolve(text, &tree()).unwrap();
        (user.uid, user.gid, user.additional_gids)
    }

    #[test]
    fn names_come_from_the_image() {
        assert_eq!(found(""), (0, 0, vec![]));
        assert_eq!(found("root"), (0, 0, vec![]));
        assert_eq!(found("web"), (33, 34, vec![5, 44]));
        assert_eq!(found("web:video"), (33, 44, vec![]));
        assert_eq!(found("web:99"), (33, 99, vec![]));
        assert_eq!(found(":tty"), (0, 5, vec![]));
        assert_eq!(found("first"), (7, 8, vec![5, 44]));
    }

    #[test]
    fn a_number_is_a_number() {
        assert_eq!(found("1000"), (1000, 0, vec![]));
        assert_eq!(found("33"), (33, 34, vec![]));
        assert_eq!(found("33:2000"), (33, 2000, vec![]));
        // The control: by name the trap of this passwd does spring.
        assert!(lines(&tree(), b"etc/passwd").unwrap().iter().any(|line| line.starts_with("1000:x:0:")));
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let error = |text| resolve(text, &tree()).unwrap_err().to_string();
        assert_eq!(error("nobody"), "user \"nobody\": not in the image's /etc/passwd");
        assert_eq!(error("web:staff"), "group \"staff\": not in the image's /etc/group");
        assert_eq!(error("broken"), "user \"broken\": the image's /etc/passwd has no number for it");
        assert_eq!(error("4294967295"), "the id 4294967295 is too large");
        assert_eq!(error("99999999999"), "the id 99999999999 is too large");
        assert_eq!(error("-1"), "user \"-1\": not in the image's /etc/passwd");
        assert!(resolve("x", &Tree::new()).is_err());
        assert_eq!(resolve("5:6", &Tree::new()).unwrap(), User { uid: 5, gid: 6, additional_gids: vec![] });
    }
}
