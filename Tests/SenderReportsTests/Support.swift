import InternetMessage
import RelayCore
import TestSupport
import Testing

@testable import SenderReports

func record(
    from sender: String? = "app@example.com", subject: String? = "Hello"
) throws -> MessageRecord {
    let key = Sample.key().secret.id
    return MessageRecord(
        id: try #require(MessageID(rawValue: MessageID.first(at: Sample.now) + 1)), key: key, environment: .test,
        client: Sample.client, reversePath: sender, subject: subject, size: 100, acceptedAt: Sample.now, hasBody: true,
        deliveries: [], now: Sample.now)
}

func failed(
    _ address: String = "to@example.net", _ kind: EventKind = .failed, reason: String? = "MessageRejected: no",
    diagnostic: String? = nil
) -> UndeliveredRecipient {
    UndeliveredRecipient(address: address, at: Sample.now, kind: kind, reason: reason, diagnostic: diagnostic)
}

func report(
    _ recipients: [UndeliveredRecipient] = [failed()], subject: String? = "Hello", original: String? = nil,
    seed: UInt64 = 7
) throws -> NonDeliveryReport {
    NonDeliveryReport(
        from: try AddrSpec(parsing: "bounces@example.com".utf8), to: try AddrSpec(parsing: "app@example.com".utf8),
        hostname: "relay.example.com", messageID: "<1@relay.example.com>", date: Sample.now,
        message: try record(subject: subject), recipients: recipients,
        original: original.map { OriginalHeader(beginning: Array($0.utf8)) }, seed: seed)
}

/// The lines of the part with this type, without its header.
func part(_ type: String, of octets: [UInt8]) throws -> [String] {
    let text = String(decoding: octets, as: UTF8.self)
    let boundary = try #require(text.firstMatch(of: /boundary="([^"]+)"/)).1
    let parts = text.components("--\(boundary)").dropFirst()
    let found = try #require(parts.first { $0.contains("Content-Type: \(type)") })
    let lines = found.dropFirst(2).components("\r\n")
    return Array(lines[(try #require(lines.firstIndex(of: "")) + 1)...])
}

extension StringProtocol {
    /// The pieces of the text between the occurrences of `separator`.
    func components(_ separator: String) -> [String] {
        var parts: [String] = []
        var rest = self[...]
        while let range = rest.firstRange(of: separator) {
            parts.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        return parts + [String(rest)]
    }
}
