import CResolver
import RelayCore
import Synchronization

/// What is asked of DNS.
package struct DNSQuestion: Hashable, Sendable {
    /// In ASCII, without the last dot.
    package var name: String
    package var type: DNSRecordType

    package init(_ type: DNSRecordType, of name: String) {
        self.name = name
        self.type = type
    }
}

/// Why DNS did not answer. The words are for people, and name nobody's addresses.
package struct DNSFailure: Error, Hashable, Sendable {
    package var reason: String

    package init(reason: String) { self.reason = reason }

    static let stopping = DNSFailure(reason: "the relay is stopping")
}

/// Looks records up.
package protocol RecordResolver: Sendable {
    /// Empty where DNS says that there is no such name, or no such record at it.
    func records(_ question: DNSQuestion) async -> Result<[DNSData], DNSFailure>

    /// What has begun ends by itself.
    func shutdown()
}

/// Asks the servers of `/etc/resolv.conf`, as the machine's other programs do.
package final class DNSResolver: RecordResolver {
    /// A server in place of the system's, for tests.
    package struct Server: Hashable, Sendable {
        /// Of an IPv4 address.
        package var octets: [UInt8]
        package var port: UInt16

        package init(octets: [UInt8], port: UInt16) {
            self.octets = octets
            self.port = port
        }
    }

    private typealias LookUps = BlockingLookUps<DNSQuestion, Result<[DNSData], DNSFailure>>

    private enum State {
        /// Nobody has asked yet, so there are no threads.
        case idle
        case running(LookUps)
        case stopped
    }

    private let clock: any RelayClock
    private let server: Server?
    private let timeout: Duration
    private let state = Mutex(State.idle)

    /// Look-ups at a time. More wait for one of them.
    package static let threads = 8
    /// For one look-up.
    package static let timeout = Duration.seconds(5)
    /// Octets of an answer. What DNS can say over TCP is hardly more.
    static let longestAnswer = 32 * 1024

    package init(clock: any RelayClock, server: Server? = nil, timeout: Duration = DNSResolver.timeout) {
        self.clock = clock
        self.server = server
        self.timeout = timeout
    }

    private var lookUps: LookUps? {
        state.withLock { state in
            switch state {
            case .idle:
                let lookUps = LookUps(clock: clock, threads: DNSResolver.threads) { [server] in
                    DNSResolver.ask($0, server)
                }
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
            return .failure(DNSFailure(reason: "no DNS server has answered, or none could find out"))
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
