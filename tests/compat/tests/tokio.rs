//! Goal: crates that need Tokio work inside smolkit, and smolkit's types inside a Tokio program.
//! Method: the real ones: reqwest against our own server, tonic's client against tonic's server, and a proxy of ours between sockets of Tokio's.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use smolkit::http::Server;
use smolkit::net::{TcpListener, TcpStream};
use smolkit::prelude::*;
use smolkit::tokio_compat::{TokioContext, compat};
use smolkit::{Timer, block_on, future, spawn};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Fails if `f` takes longer than 60 s.
fn within<T>(f: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(Duration::from_secs(60)).await;
        panic!("not finished after 60 s")
    };
    block_on(future::or(f, late))
}

/// Our server, and how to stop it.
async fn serve() -> (SocketAddr, impl FnOnce(), smolkit::Task<u64>) {
    let router = Router::new()
        .route(
            "/hello/{name}",
            get(|Path(name): Path<String>| async move { format!("hello, {name}") }),
        )
        .route("/echo", post(|body: String| async { body }))
        .route("/never", get(future::pending::<String>));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (stop, stopped) = smolkit::channel::bounded::<()>(1);
    let stopped = async move {
        let _ = stopped.recv().await;
    };
    let server = Server::new(listener, router).drain_timeout(Duration::from_millis(100));
    let server = server.shutdown(stopped);
    let server = spawn(async move { server.run().await.unwrap().aborted as u64 });
    (addr, move || drop(stop), server)
}

#[test]
fn reqwest_inside_smolkit() {
    within(async {
        let (addr, stop, server) = serve().await;
        compat(async {
            let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build()?;
            let body =
                client.get(format!("http://{addr}/hello/reqwest")).send().await?.text().await?;
            assert_eq!(body, "hello, reqwest");
            // Many at once, each a task of smolkit's, and bodies that take several packets.
            let tasks: Vec<_> = (0..20u8)
                .map(|i| {
                    let request = client.post(format!("http://{addr}/echo"));
                    spawn(
                        compat(async move {
                            let sent = vec![b'a' + i; 300_000];
                            let mut response = request.body(sent.clone()).send().await?;
                            let mut received = Vec::new();
                            while let Some(chunk) = response.chunk().await? {
                                received.extend_from_slice(&chunk);
                            }
                            Ok::<_, Error>(received == sent)
                        })
                        .unwrap(),
                    )
                })
                .collect();
            for task in tasks {
                assert!(task.await?);
            }
            // Its own timers.
            let never = client.get(format!("http://{addr}/never"));
            let error = never.timeout(Duration::from_millis(20)).send().await.unwrap_err();
            assert!(error.is_timeout(), "{error}");
            // A request that is dropped half-way.
            let never = client.get(format!("http://{addr}/never")).send();
            assert!(smolkit::time::timeout(Duration::from_millis(20), never).await.is_err());
            let refused = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
            let error = client.get(format!("http://{refused}")).send().await.unwrap_err();
            assert!(error.is_connect(), "{error}");
            Ok::<_, Error>(())
        })
        .unwrap()
        .await
        .unwrap();
        stop();
        // A server does not hear of clients that have gone before it has an answer for them.
        assert_eq!(server.await, 2);
    });
}

/// A stream of its own making, outside of the future that has made it.
#[test]
fn a_body_as_a_stream() {
    within(async {
        let (addr, stop, server) = serve().await;
        let response = compat(reqwest::get(format!("http://{addr}/hello/stream"))).unwrap().await;
        let mut chunks = Box::pin(compat(response.unwrap().bytes_stream()).unwrap());
        let mut body = Vec::new();
        while let Some(chunk) = chunks.next().await {
            body.extend_from_slice(&chunk.unwrap());
        }
        assert_eq!(body, b"hello, stream");
        drop(chunks);
        stop();
        server.await;
    });
}

async fn status(channel: tonic::transport::Channel) -> Result<i32, tonic::Status> {
    let request = HealthCheckRequest { service: "smolkit".into() };
    Ok(HealthClient::new(channel).check(request).await?.into_inner().status)
}

#[test]
fn tonics_own_transport_inside_smolkit() {
    within(async {
        let context = TokioContext::builder().workers(2).thread_name("tonic").build().unwrap();
        let (reporter, service) = tonic_health::server::health_reporter();
        let incoming = {
            let _entered = context.enter();
            tonic::transport::server::TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap()
        };
        let addr = incoming.local_addr().unwrap();
        let (stop, stopped) = smolkit::channel::bounded::<()>(1);
        let server = spawn(context.run(async move {
            let stopped = async move {
                let _ = stopped.recv().await;
            };
            let server = tonic::transport::Server::builder().add_service(service);
            server.serve_with_incoming_shutdown(incoming, stopped).await
        }));
        let client = async {
            let channel = tonic::transport::Endpoint::from_shared(format!("http://{addr}"))?
                .connect()
                .await?;
            let error = status(channel.clone()).await.unwrap_err();
            assert_eq!(error.code(), tonic::Code::NotFound);
            reporter.set_service_status("smolkit", ServingStatus::Serving).await;
            let calls: Vec<_> =
                (0..50).map(|_| spawn(context.run(status(channel.clone())))).collect();
            for call in calls {
                assert_eq!(call.await?, ServingStatus::Serving as i32);
            }
            // A stream of answers.
            let request = HealthCheckRequest { service: "smolkit".into() };
            let mut watch = HealthClient::new(channel).watch(request).await?.into_inner();
            let first = watch.message().await?.expect("the present state");
            assert_eq!(first.status, ServingStatus::Serving as i32);
            reporter.set_service_status("smolkit", ServingStatus::NotServing).await;
            let next = watch.message().await?.expect("the change");
            assert_eq!(next.status, ServingStatus::NotServing as i32);

            // The same over a socket of smolkit's.
            let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{addr}"))?;
            let channel = endpoint
                .connect_with_connector(tower::service_fn(move |_| TcpStream::connect(addr)))
                .await?;
            assert_eq!(status(channel).await?, ServingStatus::NotServing as i32);
            Ok::<_, Error>(())
        };
        context.run(client).await.unwrap();
        drop(stop);
        server.await.unwrap();
        context.shutdown(Duration::from_secs(5));
    });
}

/// A proxy of smolkit's sockets in a Tokio program, whose clients and server have Tokio's sockets.
#[test]
fn our_sockets_in_a_tokio_program() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    const BYTES: usize = 1 << 20;
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    tokio.unwrap().block_on(async {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server_addr = server.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = server.accept().await.unwrap();
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    tokio::io::copy(&mut read, &mut write).await
                });
            }
        });
        let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy_addr = proxy.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut client, _) = proxy.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(server_addr).await.unwrap();
                    tokio::io::copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        let clients: Vec<_> = (0..8u8)
            .map(|i| {
                tokio::spawn(async move {
                    let mut stream = tokio::net::TcpStream::connect(proxy_addr).await.unwrap();
                    let (mut read, mut write) = stream.split();
                    let writing = async {
                        write.write_all(&vec![i; BYTES]).await.unwrap();
                        write.shutdown().await.unwrap();
                    };
                    let mut back = Vec::new();
                    let (_, count) = tokio::join!(writing, read.read_to_end(&mut back));
                    assert_eq!(count.unwrap(), BYTES);
                    assert!(back.iter().all(|byte| *byte == i));
                })
            })
            .collect();
        for client in clients {
            tokio::time::timeout(Duration::from_secs(60), client).await.unwrap().unwrap();
        }
        // smolkit's `compat` finds the program's own runtime here.
        let here = tokio::runtime::Handle::current().id();
        let found = compat(async { tokio::runtime::Handle::current().id() }).unwrap().await;
        assert_eq!(found, here);
    });
}
