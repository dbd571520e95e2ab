import CResolver
import RelayCore

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
}

/// Looks records up.
package protocol RecordResolver: Sendable {
    /// Empty where DNS says that there is no such name, or no such record at it.
    func records(_ question: DNSQuestion) async -> Result<[DNSData], DNSFailure>
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

    private let lookUps: BlockingLookUps<DNSQuestion, Result<[DNSData], DNSFailure>>
    private let patience: Duration

    /// Look-ups at a time. More wait for one of them.
    package static let threads = 16
    /// For one look-up.
    package static let patience = Duration.seconds(5)
    /// Octets of an answer. What DNS can say over TCP is hardly more.
    static let longestAnswer = 32 * 1024

    package init(clock: any RelayClock, server: Server? = nil, patience: Duration = DNSResolver.patience) {
        self.patience = patience
        lookUps = BlockingLookUps(clock: clock, threads: DNSResolver.threads) { DNSResolver.ask($0, server) }
    }

    package func records(_ question: DNSQuestion) async -> Result<[DNSData], DNSFailure> {
        switch await lookUps.answer(to: question, within: patience) {
        case .success(let answer): answer
        case .failure(.timedOut): .failure(DNSFailure(reason: "DNS did not answer in time"))
        case .failure(.stopping): .failure(DNSFailure(reason: "the relay is stopping"))
        }
    }

    /// What has begun ends by itself.
    package func shutdown() { lookUps.shutdown() }

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
                        name, Int32(question.type.rawValue), address.count == 4 ? address.baseAddress : nil, server.port,
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
