import CResolver
import RelayCore
import Synchronization

/// A question to DNS: the records of a type at a name.
package struct DNSQuestion: Hashable, Sendable {
    /// In ASCII, without the final dot.
    package var name: String
    package var type: DNSRecordType

    package init(_ type: DNSRecordType, of name: String) {
        self.name = name
        self.type = type
    }
}

/// Why a look-up failed.
package struct DNSFailure: Error, Hashable, Sendable {
    /// A sentence for people, without a full stop. It contains no addresses.
    package var reason: String

    package init(reason: String) { self.reason = reason }

    static let stopping = DNSFailure(reason: "the relay is stopping")
}

/// Looks up records in DNS.
package protocol RecordResolver: Sendable {
    /// Looks up records. The result is empty if DNS says that the name does not exist or has no such record.
    func records(_ question: DNSQuestion) async -> Result<[DNSData], DNSFailure>

    /// Stops the resolver. Look-ups that have begun end by themselves; later ones fail.
    func shutdown()
}

/// Asks the DNS servers of `/etc/resolv.conf`, like the machine's other programs.
package final class DNSResolver: RecordResolver {
    /// A server that is asked instead of the system's servers, for tests.
    package struct Server: Hashable, Sendable {
        /// The four octets of an IPv4 address.
        package var octets: [UInt8]
        /// The UDP and TCP port.
        package var port: UInt16

        package init(octets: [UInt8], port: UInt16) {
            self.octets = octets
            self.port = port
        }
    }

    private typealias LookUps = BlockingLookUps<DNSQuestion, Result<[DNSData], DNSFailure>>

    private enum State {
        /// No record was looked up yet, so there are no threads.
        case idle
        case running(LookUps)
        case stopped
    }

    private let clock: any RelayClock
    private let ask: @Sendable (DNSQuestion) -> Result<[DNSData], DNSFailure>
    private let timeout: Duration
    private let state = Mutex(State.idle)

    /// The largest number of look-ups at a time. Further look-ups wait for a free thread.
    package static let threads = 8
    /// The time that a caller waits for a look-up.
    package static let timeout = Duration.seconds(5)
    /// The longest answer that is read, in octets. Answers are hardly longer, even over TCP.
    static let longestAnswer = 32 * 1024

    /// - Parameters:
    ///   - clock: measures the time that callers wait.
    ///   - server: nil: the system's servers.
    ///   - timeout: the time that a caller waits for a look-up.
    package convenience init(clock: any RelayClock, server: Server? = nil, timeout: Duration = DNSResolver.timeout) {
        self.init(clock: clock, timeout: timeout) { DNSResolver.ask($0, server) }
    }

    /// - Parameter ask: looks up; may block.
    init(
        clock: any RelayClock, timeout: Duration,
        ask: @escaping @Sendable (DNSQuestion) -> Result<[DNSData], DNSFailure>
    ) {
        self.clock = clock
        self.timeout = timeout
        self.ask = ask
    }

    private var lookUps: LookUps? {
        state.withLock { state in
            switch state {
            case .idle:
                let lookUps = LookUps(clock: clock, threads: DNSResolver.threads, lookUp: ask)
                state = .running(lookUps)
                return lookUps
            case .running(let lookUps): return lookUps
            case .stopped: return nil
            }
        }
    }

    package func records(_ question: DNSQuestion) async -> Result<[DNSData], DNSFailure> {
        guard let lookUps else { return .failure(.stopping) }
        switch await lookUps.answer(to: question, within: timeout) {
        case .success(let answer): return answer
        case .failure(.timedOut): return .failure(DNSFailure(reason: "DNS did not answer in time"))
        case .failure(.stopping): return .failure(.stopping)
        }
    }

    package func shutdown() {
        let running = state.withLock { state in
            defer { state = .stopped }
            return if case .running(let lookUps) = state { lookUps } else { nil as LookUps? }
        }
        running?.shutdown()
    }

    private static func ask(_ question: DNSQuestion, _ server: Server?) -> Result<[DNSData], DNSFailure> {
        var answer = [UInt8](repeating: 0, count: longestAnswer)
        let size = Int32(answer.count)
        let length = question.name.withCString { name in
            answer.withUnsafeMutableBufferPointer { buffer in
                guard let server else {
                    return cresolver_query(name, Int32(question.type.rawValue), nil, 0, 2, buffer.baseAddress, size)
                }
                return server.octets.withUnsafeBufferPointer { address in
                    cresolver_query(
                        name, Int32(question.type.rawValue), address.count == 4 ? address.baseAddress : nil,
                        server.port,
                        2, buffer.baseAddress, size)
                }
            }
        }
        switch Int(length) {
        case CRESOLVER_NO_SUCH_NAME, CRESOLVER_NO_DATA: return .success([])
        case CRESOLVER_TRY_AGAIN:
            return .failure(DNSFailure(reason: "no DNS server answers, or the servers fail to find the records"))
        case ..<0: return .failure(DNSFailure(reason: "the DNS server refuses to answer"))
        case (longestAnswer + 1)...: return .failure(DNSFailure(reason: "the answer of DNS is too long"))
        default: break
        }
        do throws(DNSMessageError) {
            return .success(
                try DNSMessage.records(question.type, of: question.name, in: Array(answer.prefix(Int(length)))))
        } catch {
            return .failure(DNSFailure(reason: "the answer of DNS \(error.reason)"))
        }
    }
}
