//! Mail: SMTP_*, MAIL_FROM, MAIL_TEMPLATES, MAIL_LANGUAGE and LINK_URL.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crypto::secret::Secret;
use mail::transport::{Protection, SmtpSettings};
use mail::{Mailer, Templates, Transport};
use service::settings::MailSettings;

use super::problem::Problem;
use super::reader::Reader;
use super::settings::{is_good_issuer, text_or_file};
use super::{Mode, Needs};

/// The settings as they were read.
struct Texts {
    host: Option<String>,
    port: u16,
    protection: Protection,
    username: Option<String>,
    password: Option<Secret>,
    timeout: Duration,
    from: Option<String>,
    templates: Option<PathBuf>,
    language: String,
    link_url: Option<String>,
}

/// How mails are written and sent; `None` where there is no way to send any. The development mode has a folder for them.
pub(super) fn settle(
    reader: &mut Reader<'_>,
    needs: Needs,
    public_url: Option<&str>,
    (bind, data_dir): (SocketAddr, &Path),
) -> Option<MailSettings> {
    let texts = read(reader, needs, public_url);
    if texts.host.is_none() && reader.mode == Mode::Serve {
        return None;
    }
    let from =
        texts.from.clone().or_else(|| missing(reader, "MAIL_FROM", "the address that mails come from"));
    let link_url = match texts.link_url.clone() {
        None if reader.mode == Mode::Dev => Some(format!("http://{bind}")),
        None => {
            missing(reader, "LINK_URL", "where the pages are that links in mails lead to (or set PUBLIC_URL)")
        }
        set => set,
    };
    let transport = transport(reader, &texts, from.as_deref(), data_dir);
    let templates = templates(reader, &texts);
    let (from, link_url, transport, templates) = (from?, link_url?, transport?, templates?);
    let mailer = Mailer::new(&from, templates, transport);
    let mailer = mailer.map_err(|error| {
        let mend = "write local@domain, or Name <local@domain>.";
        reader.problems.push(Problem::new(format!("MAIL_FROM is {from:?}: {error}."), mend));
    });
    Some(MailSettings { mailer: mailer.ok()?, link_url, language: texts.language, timeout: texts.timeout })
}

fn read(reader: &mut Reader<'_>, needs: Needs, public_url: Option<&str>) -> Texts {
    let names = ["SMTP_PASSWORD", "SMTP_PASSWORD_FILE"];
    let password = reader.optional_text(names[0]).map(Secret::from);
    let file = reader.optional_text(names[1]).map(PathBuf::from);
    // Commands put mails into the outbox; the running service sends them.
    let password = if needs == Needs::Server { text_or_file(reader, names, password, file) } else { None };
    let username = reader.optional_text("SMTP_USERNAME");
    if needs == Needs::Server && username.is_some() != password.is_some() {
        reader.problems.push(Problem::new(
            "SMTP_USERNAME and SMTP_PASSWORD belong together, and one of them is missing.",
            "set both, or neither.",
        ));
    }
    let link_url = link_url(reader).or_else(|| public_url.map(str::to_owned));
    Texts {
        host: reader.optional_text("SMTP_HOST"),
        port: u16::try_from(reader.count("SMTP_PORT")).unwrap_or(587),
        protection: match reader.choice("SMTP_TLS") {
            "off" => Protection::Plain,
            "tls" => Protection::Tls,
            _ => Protection::StartTls,
        },
        username,
        password,
        timeout: reader.duration("SMTP_TIMEOUT"),
        from: reader.optional_text("MAIL_FROM"),
        templates: reader.optional_text("MAIL_TEMPLATES").map(PathBuf::from),
        language: reader.text("MAIL_LANGUAGE").to_owned(),
        link_url,
    }
}

fn link_url(reader: &mut Reader<'_>) -> Option<String> {
    let url = reader.optional_text("LINK_URL")?;
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let is_address = url.starts_with("http") && !rest.is_empty() && !rest.contains(['?', '#', ' ']);
    if !is_address || (reader.mode == Mode::Serve && !is_good_issuer(&url)) {
        reader.problems.push(Problem::new(
            format!("LINK_URL is {url:?}, which is not where people can open a page safely."),
            "write an address such as https://shop.example/account.",
        ));
        return None;
    }
    Some(url.trim_end_matches('/').to_owned())
}

fn missing(reader: &mut Reader<'_>, name: &str, what: &str) -> Option<String> {
    let problem =
        Problem::new(format!("SMTP_HOST is set and {name} is not."), format!("set {name}: {what}."));
    reader.problems.push(problem);
    None
}

fn transport(
    reader: &mut Reader<'_>,
    texts: &Texts,
    from: Option<&str>,
    data_dir: &Path,
) -> Option<Transport> {
    let Some(host) = texts.host.clone() else { return Some(Transport::Folder(data_dir.join("outbox"))) };
    if texts.protection == Protection::Plain && !is_this_machine(&host) {
        reader.problems.push(Problem::new(
            format!("SMTP_TLS is off and SMTP_HOST is {host}: mails, which hold links that open accounts, and the password of \
                     SMTP_PASSWORD would travel for everybody to read."),
            "use starttls or tls; off is for a server on this machine.",
        ));
        return None;
    }
    let password = |secret: &Secret| String::from_utf8_lossy(secret.as_bytes()).into_owned();
    let domain = from.and_then(|from| from.rsplit_once('@')).map_or("localhost", |(_, domain)| domain);
    let settings = SmtpSettings {
        host,
        port: texts.port,
        protection: texts.protection,
        credentials: texts.username.clone().zip(texts.password.as_ref().map(password)),
        timeout: texts.timeout,
        hello: domain.trim_end_matches('>').to_owned(),
    };
    let transport = Transport::smtp(settings);
    transport
        .map_err(|error| {
            reader.problems.push(Problem::new(format!("{error}."), "check the certificates of this machine."))
        })
        .ok()
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn templates(reader: &mut Reader<'_>, texts: &Texts) -> Option<Templates> {
    let folder = texts.templates.as_ref().map(|folder| reader.folder.join(folder));
    let loaded = Templates::load(folder.as_deref());
    let templates = loaded.map_err(|fault| {
        let mend =
            "correct the file; the texts that come with the program are the pattern (docs/operations.md).";
        reader.problems.push(Problem::new(format!("MAIL_TEMPLATES: {fault}."), mend));
    });
    let templates = templates.ok()?;
    if !templates.has_language(&texts.language) {
        let what = format!("MAIL_LANGUAGE is {:?}, and there are no texts in it.", texts.language);
        let mend = "use en, or name the folder of that language in MAIL_TEMPLATES.";
        reader.problems.push(Problem::new(what, mend));
        return None;
    }
    Some(templates)
}
