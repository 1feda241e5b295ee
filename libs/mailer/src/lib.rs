//! Writes mail to the log; a stand-in for an SMTP client.

/// Sends mail.
#[derive(Debug, Clone)]
pub struct Mailer {
    from: String,
}

impl Mailer {
    /// A mailer that signs with `from`.
    pub fn new(from: impl Into<String>) -> Self {
        Self { from: from.into() }
    }

    /// Sends one mail.
    pub fn send(&self, to: &str, subject: &str) {
        tracing::info!(from = self.from, to, subject, "mail");
    }
}
