//! `messenger new`: a folder with a small node, to begin with.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::args::{INVALID_ARGUMENTS, complain, quoted};

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct NewArgs {
    /// The folder to make; its name becomes the node's
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The language of the node
    #[arg(long, value_enum, default_value_t)]
    lang: Language,
    /// In Rust: take the library from a clone of its repository, in place of the registry
    #[arg(long, value_name = "FOLDER")]
    path: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  messenger new my-node
  messenger new my-node --lang python
  messenger new my-node --path ../messenger

The folder has a node for echo and a first try at broadcast, and a README.md with the commands that test it.";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Language {
    #[default]
    Rust,
    Python,
    Go,
    #[value(alias = "javascript")]
    Js,
}

/// A file of a new folder. In its text, `{name}` and the like are filled in.
struct Template {
    path: &'static str,
    about: &'static str,
    text: &'static str,
    is_program: bool,
}

impl Language {
    const fn templates(self) -> &'static [Template] {
        match self {
            Self::Rust => &[
                Template {
                    path: "src/main.rs",
                    about: "the node",
                    text: include_str!("new/rust/main.rs"),
                    is_program: false,
                },
                Template {
                    path: "Cargo.toml",
                    about: "its name and what it uses",
                    text: include_str!("new/rust/Cargo.toml.txt"),
                    is_program: false,
                },
            ],
            Self::Python => &[Template {
                path: "node.py",
                about: "the node",
                text: include_str!("new/python/node.py"),
                is_program: true,
            }],
            Self::Go => &[
                Template {
                    path: "main.go",
                    about: "the node",
                    text: include_str!("new/go/main.go"),
                    is_program: false,
                },
                Template {
                    path: "go.mod",
                    about: "its name",
                    text: include_str!("new/go/go.mod.txt"),
                    is_program: false,
                },
            ],
            Self::Js => &[Template {
                path: "node.js",
                about: "the node",
                text: include_str!("new/js/node.js"),
                is_program: true,
            }],
        }
    }

    /// The program that `--bin` names.
    const fn program(self) -> &'static str {
        match self {
            Self::Rust => "target/debug/{name}",
            Self::Python => "./node.py",
            Self::Go => "./{name}",
            Self::Js => "./node.js",
        }
    }

    /// The command that makes the program, if it has to be made.
    const fn build(self) -> Option<&'static str> {
        match self {
            Self::Rust => Some("cargo build"),
            Self::Go => Some("go build"),
            Self::Python | Self::Js => None,
        }
    }

    /// What is made, and belongs in no repository.
    const fn ignored(self) -> &'static str {
        match self {
            Self::Rust => "/target\n/store\n",
            Self::Python | Self::Js => "/store\n",
            Self::Go => "/{name}\n/store\n",
        }
    }
}

/// Makes the folder, and says how to go on.
pub fn run(args: &NewArgs) -> ExitCode {
    match make(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            let is_wrong = error.kind() == ErrorKind::InvalidInput;
            if is_wrong { ExitCode::from(INVALID_ARGUMENTS) } else { ExitCode::FAILURE }
        }
    }
}

fn make(args: &NewArgs) -> io::Result<()> {
    let NewArgs { folder, lang, path } = args;
    let name = &name(folder, *lang)?;
    let source = source(path.as_deref(), *lang)?;
    if fs::read_dir(folder).is_ok_and(|mut files| files.next().is_some()) || folder.is_file() {
        let text = format!("{} is there already: expected a folder that is new, or empty", folder.display());
        return Err(io::Error::new(ErrorKind::InvalidInput, text));
    }
    let fill = |text: &str| text.replace("{name}", name).replace("{source}", &source);
    for template in lang.templates() {
        write(&folder.join(template.path), &fill(template.text), template.is_program)?;
    }
    write(&folder.join(".gitignore"), &fill(lang.ignored()), false)?;
    let line = |Template { path, about, .. }: &Template| format!("- `{path}`: {about}.");
    let mut files: Vec<String> = lang.templates().iter().map(line).collect();
    files.push("- `store/`: the reports of tests; `store/latest` is the last one.".to_owned());
    let build = lang.build().map_or_else(String::new, |build| format!("Build it: `{build}`.\n\n"));
    let readme = include_str!("new/README.md.txt");
    let readme = readme.replace("{files}", &files.join("\n")).replace("{build}", &build);
    write(&folder.join("README.md"), &fill(&readme.replace("{bin}", lang.program())), false)?;
    let made = made(folder, *lang);
    // Whoever reads it may have had enough.
    let _ = io::stdout().write_all(fill(&made).as_bytes());
    Ok(())
}

/// Names that cargo gives no program.
const RESERVED: [&str; 4] = ["build", "deps", "examples", "incremental"];

/// The folder's own name, if it can be a node's in every language.
fn name(folder: &Path, lang: Language) -> io::Result<String> {
    // `.` has a name as well.
    let there = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = there.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if lang == Language::Rust && RESERVED.contains(&name) {
        let text = format!("expected a folder whose name cargo has no use for itself; found {name:?}");
        return Err(io::Error::new(ErrorKind::InvalidInput, text));
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(is_plain) {
        return Ok(name.to_owned());
    }
    let expected =
        "expected a folder whose name has ASCII letters, digits, - and _, and begins with a letter";
    let text = format!("{expected}; found {:?}", folder.display().to_string());
    Err(io::Error::new(ErrorKind::InvalidInput, text))
}

/// Where a crate gets this one from.
fn source(clone: Option<&Path>, lang: Language) -> io::Result<String> {
    let Some(clone) = clone else {
        let version = concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));
        return Ok(format!("version = {version:?}"));
    };
    let invalid = |text: String| io::Error::new(ErrorKind::InvalidInput, text);
    if lang != Language::Rust {
        return Err(invalid(
            "--path is where a node in Rust gets its library from: no other needs it".to_owned(),
        ));
    }
    let manifest = fs::read_to_string(clone.join("Cargo.toml")).unwrap_or_default();
    if !manifest.contains(concat!("name = \"", env!("CARGO_PKG_NAME"), "\"")) {
        let text =
            format!("--path: expected a clone of this program's repository, found {}", clone.display());
        return Err(invalid(text));
    }
    // TOML's strings and Rust's are escaped alike, for all that a path is likely to have.
    Ok(format!("path = {:?}", clone.canonicalize()?.to_string_lossy()))
}

fn write(path: &Path, text: &str, is_program: bool) -> io::Result<()> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text)).map_err(named)?;
    #[cfg(unix)]
    if is_program {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(named)?;
    }
    #[cfg(not(unix))]
    let _ = is_program;
    Ok(())
}

/// What was made, and what to do next.
fn made(folder: &Path, lang: Language) -> String {
    // Writing to a string cannot fail.
    let mut text = format!("made {}\n", folder.display());
    for Template { path, about, .. } in lang.templates() {
        let _ = writeln!(text, "  {path:<12} {about}");
    }
    text.push_str("  README.md    the commands that test it, and the next steps\n\nNow:\n");
    let _ = writeln!(text, "  cd {}", quoted(folder.as_os_str()));
    if let Some(build) = lang.build() {
        let _ = writeln!(text, "  {build}");
    }
    let _ = writeln!(text, "  messenger test -w echo --bin {} --time-limit 5", lang.program());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_a_name_that_its_language_takes() {
        for reserved in RESERVED {
            let error = name(Path::new(reserved), Language::Rust).unwrap_err().to_string();
            assert!(error.contains("cargo has no use for itself"), "{error}");
            assert_eq!(name(Path::new(reserved), Language::Go).unwrap(), reserved);
        }
        // Tests run in the folder of the crate.
        let here = std::env::current_dir().unwrap();
        let own = name(&here, Language::Rust).map_err(|error| error.kind());
        assert_eq!(name(Path::new("."), Language::Rust).map_err(|error| error.kind()), own);
        assert_eq!(name(&here.join("src/.."), Language::Rust).map_err(|error| error.kind()), own);
        assert_eq!(name(Path::new("src/cli"), Language::Rust).unwrap(), "cli");
    }

    #[test]
    fn a_path_is_quoted_for_the_shell() {
        let made = made(Path::new("my nodes/echo"), Language::Python);
        assert!(made.contains("\n  cd 'my nodes/echo'\n"), "{made}");
    }
}
