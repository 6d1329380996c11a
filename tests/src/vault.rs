//! A stand-in for HashiCorp Vault's transit engine, because the real server is not available here.
//! It implements the documented HTTP API as far as the service uses it, with the real status codes
//! and messages. Ciphertexts are AES-256-GCM, bound to the associated data. Keys are only in
//! memory, and there is one token.

mod transit;

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::ServerHandle,
    http::StatusCode,
    rt,
    web::{self, Bytes, Data, PayloadConfig},
};
use std::{
    net::{Ipv4Addr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
};
use transit::{Request, Transit};
use uuid::Uuid;

/// The limit of a request, as in Vault.
const LONGEST: usize = 32 * 1024 * 1024;

/// The server. Dropping it stops it.
pub struct Vault {
    port: u16,
    transit: Shared,
    server: ServerHandle,
}

type Shared = Arc<Mutex<Transit>>;

impl Vault {
    /// Starts a server with an empty engine at `transit/`.
    ///
    /// # Panics
    /// It can't listen.
    pub fn start() -> Self {
        let transit = Arc::new(Mutex::new(Transit::new(&Uuid::new_v4().to_string())));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let ((handles, handle), shared) = (mpsc::channel(), transit.clone());
        thread::spawn(move || {
            rt::System::new().block_on(async move {
                let server = serve(listener, shared);
                handles.send(server.handle()).expect("somebody waits for it");
                server.await
            })
        });
        Self { port, transit, server: handle.recv().expect("the stand-in listens") }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The valid token.
    pub fn token(&self) -> String {
        self.transit().token.clone()
    }

    /// Replaces the valid token.
    pub fn replace_token(&self) -> String {
        self.transit().token = Uuid::new_v4().to_string();
        self.token()
    }

    /// From now on the token reports this many seconds left, and can be renewed.
    pub fn set_ttl(&self, seconds: u64) {
        self.transit().ttl = Some(seconds);
    }

    /// How often the token was renewed.
    pub fn renewals(&self) -> u64 {
        self.transit().renewals
    }

    /// The first and the last version of a key that can decrypt, if the key exists.
    pub fn versions(&self, key: &str) -> Option<(u64, u64)> {
        self.transit().versions(key)
    }

    /// Seals the server, so that it answers 503 to everything, or unseals it.
    pub fn seal(&self, is_sealed: bool) {
        self.transit().is_sealed = is_sealed;
    }

    /// Deletes a key.
    pub fn lose(&self, key: &str) {
        self.transit().keys.remove(key);
    }

    fn transit(&self) -> MutexGuard<'_, Transit> {
        lock(&self.transit)
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        // The stop is requested at once; only its end would have to be awaited.
        drop(self.server.stop(false));
    }
}

fn lock(transit: &Shared) -> MutexGuard<'_, Transit> {
    transit.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(listener: TcpListener, transit: Shared) -> actix_web::dev::Server {
    let app = move || {
        App::new()
            .app_data(Data::new(transit.clone()))
            .app_data(PayloadConfig::new(LONGEST))
            .default_service(web::to(answer))
    };
    let server = HttpServer::new(app).workers(1).disable_signals();
    server.listen(listener).expect("the stand-in listens").run()
}

async fn answer(transit: Data<Shared>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let token = request.headers().get("X-Vault-Token").and_then(|token| token.to_str().ok());
    let (status, said) = lock(&transit).answer(&Request {
        method: request.method().as_str(),
        path: request.path(),
        token,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    });
    HttpResponse::build(StatusCode::from_u16(status).expect("a status")).json(said)
}
