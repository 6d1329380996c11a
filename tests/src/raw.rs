//! Sends malformed HTTP requests.

use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Sends bytes to `authority` and returns the status of the answer. `None` if the connection was
/// closed without one.
///
/// # Panics
/// There is no connection, or the answer is no HTTP.
pub async fn raw(authority: &str, request: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(authority).await.expect("a connection");
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(request).await;
    let mut head = Vec::new();
    let reading = async {
        let mut chunk = [0; 1024];
        while !head.windows(2).any(|pair| pair == b"\r\n") {
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(n) => head.extend_from_slice(&chunk[..n]),
            }
        }
    };
    timeout(Duration::from_secs(60), reading).await.expect("an answer");
    let line = String::from_utf8_lossy(&head);
    if line.is_empty() { None } else { line.split(' ').nth(1)?.parse().ok() }
}
