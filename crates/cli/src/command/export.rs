//! `export csv|jsonl`: all users in a form that `import` reads.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use import::file::{self, Format};
use service::App;

use super::import::new_file;
use super::user::with_app;
use crate::args::{Export, ExportFile};
use crate::config::{Inputs, Needs};

pub(super) fn run(inputs: &Inputs, command: Export) -> anyhow::Result<ExitCode> {
    let (args, format) = match command {
        Export::Csv(args) => (args, Format::Csv),
        Export::Jsonl(args) => (args, Format::JsonLines),
    };
    let ExportFile { file, without_passwords } = args;
    if !without_passwords {
        eprintln!(
            "bookstore-auth: warning: WHAT IS WRITTEN HOLDS PASSWORD HASHES, which can be attacked offline: keep it as secret as the \
             database and delete it after use, or use --without-passwords"
        );
    }
    let count = with_app(inputs, Needs::Database, false, async |app: &App| {
        let mut output = Output::open(&file)?;
        let count = file::export(app, &mut output, format, !without_passwords).await?;
        output.finish()?;
        Ok(count)
    })?;
    eprintln!("{count} users written");
    Ok(ExitCode::SUCCESS)
}

/// Standard output, or a new file that is on the disk when the command says so.
enum Output {
    Standard(io::Stdout),
    File(io::BufWriter<File>),
}

impl Output {
    fn open(path: &Path) -> anyhow::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self::Standard(io::stdout()));
        }
        Ok(Self::File(io::BufWriter::new(new_file(path)?)))
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Standard(mut out) => out.flush(),
            Self::File(out) => out.into_inner()?.sync_all(),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Standard(out) => out.write(bytes),
            Self::File(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Standard(out) => out.flush(),
            Self::File(out) => out.flush(),
        }
    }
}
