import Admission
import Dispatch
import Foundation
import InternetMessage
import Listening
import Logging
import NIOCore
import NIOOpenSSL
import NIOPosix
import RelayCore
import SMTPServer
import Synchronization
import Workloads

/// The relay's network side alone, to compare it with the whole relay: SMTP, TLS, keys, limits, header and preparation,
/// with a store that keeps no message. `storeless PORT CERTIFICATE PRIVATE-KEY` prints the key to log in with. When it
/// ends, it prints how many messages it accepted.
@main
enum Storeless {
    static func main() async throws {
        let words = Array(CommandLine.arguments.dropFirst())
        guard words.count == 3, let port = Int(words[0]) else {
            FileHandle.standardError.write(Data("usage: storeless PORT CERTIFICATE PRIVATE-KEY\n".utf8))
            exit(64)
        }
        let taken = Mutex(0)
        let end = Termination()
        let (secret, stored) = sampleKey()
        let logger = Logger(label: "storeless") { _ in SwiftLogNoOpLogHandler() }
        let admission = Admission(
            configuration: Admission.Configuration(
                hostname: "localhost", maximumMessageSize: 28 << 20, maximumRateDelay: .seconds(5),
                preparation: PreparationPolicy()),
            store: ForgetfulStore(stored), clock: SystemClock(), logger: logger
        ) { event in
            if case .accepted = event { taken.withLock { $0 += 1 } }
        }
        let identity = TLSIdentity(certificateChain: .file(words[1]), privateKey: .file(words[2]))
        let limiter = ConnectionLimiter(maximum: 10_000, maximumPerClient: 10_000)
        let server = try await SMTPServer.start(
            [SMTPListener(.address(host: "127.0.0.1", port: port), .startTLS)],
            configuration: SMTPServerConfiguration(
                hostname: "localhost", maximumMessageSize: 28 << 20, maximumRecipients: 1000,
                idleTimeout: .seconds(300), authenticationTimeout: .seconds(60),
                plaintextAuthenticationNetworks: []),
            admission: admission,
            tls: ReloadableTLSContext(try TLSServerContext(TLSConfiguration(identities: [identity]))),
            limiter: limiter, proxy: ProxyPolicy(networks: ProxyNetworks([]), limiter: limiter) { _ in },
            group: MultiThreadedEventLoopGroup(numberOfThreads: eventLoopCount(cores: System.coreCount)),
            logger: logger)
        say("key \(secret.revealed)")
        await end.wait()
        say("taken \(taken.withLock { $0 })")
        withExtendedLifetime(server) {}
    }

    /// Writes the line at once, even if the output is a file.
    private static func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }
}

/// Waits for SIGTERM.
private struct Termination {
    private let source: any DispatchSourceSignal
    private let signals: AsyncStream<Void>

    init() {
        signal(SIGTERM, SIG_IGN)
        source = DispatchSource.makeSignalSource(signal: SIGTERM)
        let (signals, continuation) = AsyncStream.makeStream(of: Void.self)
        self.signals = signals
        source.setEventHandler { continuation.finish() }
        source.resume()
    }

    func wait() async { for await _ in signals {} }
}
