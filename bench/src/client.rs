//! A minimal HTTP client: one persistent connection, one request at a time.

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A connection to the service.
pub(crate) struct Client {
    stream: TcpStream,
    authority: String,
    token: String,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects with a token.
    pub(crate) async fn connect(authority: &str, token: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, authority: authority.to_owned(), token: token.to_owned(), buffer: Vec::new() })
    }

    /// Sends a request and reads the whole answer. Returns its status and body.
    pub(crate) async fn call(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
    ) -> anyhow::Result<(u16, &[u8])> {
        let Self { authority, token, .. } = self;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        let (head, length) = loop {
            if let Some(head) = head(&self.buffer)? {
                break head;
            }
            self.read().await?;
        };
        while self.buffer.len() < head + length {
            self.read().await?;
        }
        let status = std::str::from_utf8(&self.buffer[9..12])?.parse()?;
        Ok((status, &self.buffer[head..]))
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        let read = self.stream.read_buf(&mut self.buffer).await?;
        anyhow::ensure!(read > 0, "the service has closed the connection");
        Ok(())
    }
}

/// The end of the head and the length of the body, once the head is complete.
fn head(buffer: &[u8]) -> anyhow::Result<Option<(usize, usize)>> {
    const END: &[u8] = b"\r\n\r\n";
    let Some(end) = buffer.windows(END.len()).position(|window| window == END) else { return Ok(None) };
    let head = std::str::from_utf8(&buffer[..end])?;
    let line = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim())
    });
    let length = line.map_or(Ok(0), str::parse).context("an answer without a length")?;
    Ok(Some((end + END.len(), length)))
}
