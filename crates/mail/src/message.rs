//! A rendered text as a message: headers (RFC 5322) and both forms of the text (RFC 2046, multipart/alternative).

use lettre::Message;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};

use crate::Mail;
use crate::template::Rendered;
use crate::transport::SendError;

/// RFC 3834 section 5: nobody's holiday notice answers it.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// The message. An address that no mail can go to is a failure for good.
pub(crate) fn build(from: &Mailbox, mail: &Mail<'_>, text: &Rendered) -> Result<Message, SendError> {
    let to =
        mail.to.parse().map_err(|error| SendError::Never(format!("the recipient is no address: {error}")))?;
    Message::builder()
        .message_id(Some(message_id(from, mail.id)))
        .date(mail.date)
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(text.subject.as_str())
        .header(AutoSubmitted)
        .multipart(MultiPart::alternative_plain_html(text.text.clone(), text.html.clone()))
        .map_err(|error| SendError::Never(format!("the message cannot be written: {error}")))
}

fn message_id(from: &Mailbox, id: [u8; 16]) -> String {
    format!("<{}@{}>", hex(&id), from.email.domain())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;

    use super::*;
    use crate::template::{ENGLISH, Template, Templates};

    fn mail(to: &str) -> Mail<'_> {
        Mail {
            id: [0xab; 16],
            template: Template::ResetPassword,
            language: ENGLISH,
            to,
            values: Template::ResetPassword.samples(),
            date: SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600),
        }
    }

    fn written(to: &str, subject: &str) -> Result<String, SendError> {
        let from = "Shop <no-reply@shop.example>".parse().expect("an address");
        let templates = Templates::built_in().expect("texts");
        let mail = mail(to);
        let mut text = templates.render(mail.template, ENGLISH, &mail.values)?;
        text.subject = subject.to_owned();
        Ok(String::from_utf8_lossy(&build(&from, &mail, &text)?.formatted()).into_owned())
    }

    #[test]
    fn every_attempt_has_the_same_message_id_and_date() {
        let text = written("ann@example.com", "Reset").expect("a message");
        assert!(text.contains("Message-ID: <abababababababababababababababab@shop.example>\r\n"), "{text}");
        assert!(text.contains("Date: Thu, 01 Jan 2026 00:00:00 +0000\r\n"), "{text}");
        assert!(
            text.contains("Auto-Submitted: auto-generated\r\n") && text.contains("multipart/alternative"),
            "{text}"
        );
        assert!(text.contains("To: ann@example.com\r\n") && text.contains("no-reply@shop.example"), "{text}");
    }

    // RC-12: whatever gets as far as here, it makes no header.
    #[test]
    fn line_breaks_in_addresses_and_subjects_make_no_headers() {
        for to in [
            "a@example.com\r\nBcc: b@example.com",
            "a@example.com, b@example.com",
            "",
            "a b@example.com",
            "<a@x.y>\n",
        ] {
            assert!(matches!(written(to, "x"), Err(SendError::Never(_))), "{to:?}");
        }
        let text = written("a@example.com", "x\r\nBcc: b@example.com").expect("a message");
        assert!(!text.contains("\nBcc:"), "{text}");
    }

    proptest! {
        // RC-12
        #[test]
        fn a_message_has_the_headers_that_we_gave_it(to in any::<String>(), subject in any::<String>()) {
            let names = |text: &str| -> Vec<String> {
                let head = text.split("\r\n\r\n").next().unwrap_or_default();
                let lines = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
                lines.map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect()
            };
            let plain = names(&written("a@example.com", "x").expect("a message"));
            if let Ok(text) = written(&to, &subject) {
                prop_assert_eq!(names(&text), plain);
            }
        }
    }
}
