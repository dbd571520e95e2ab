import RelayCore

/// The enhanced status code of a recipient that a message did not reach (RFC 3463).
public struct DeliveryStatusCode: Hashable, Sendable, CustomStringConvertible {
    /// 4: the relay tried as long as the settings allow. 5: the message can never be delivered.
    public let statusClass: UInt16
    /// The second number of the code (RFC 3463 section 3).
    public let subject: UInt16
    /// The third number of the code.
    public let detail: UInt16

    public var description: String { "\(statusClass).\(subject).\(detail)" }

    private init(_ statusClass: UInt16, _ subject: UInt16, _ detail: UInt16) {
        self.statusClass = statusClass
        self.subject = subject
        self.detail = detail
    }

    /// The code that the server gave. If it gave none, the code for the kind of failure.
    public init(of recipient: UndeliveredRecipient) {
        self =
            recipient.diagnostic.flatMap { DeliveryStatusCode(firstOf: SaidText.withoutType($0)) }
            ?? DeliveryStatusCode.byKind(recipient)
    }

    private static func byKind(_ recipient: UndeliveredRecipient) -> DeliveryStatusCode {
        switch recipient.kind {
        // "Delivery not authorized, message refused": refused by a list, for each recipient (RFC 3463 section 3.8). The
        // mailbox itself may exist, so the codes X.1.X do not apply.
        case .suppressed: DeliveryStatusCode(5, 7, 1)
        // "Other or undefined security status": SES rejects messages that contain a virus.
        case .rejected: DeliveryStatusCode(5, 7, 0)
        // "Delivery time expired" exists only in class 4 (RFC 3463 section 3.5).
        case .failed where recipient.reason?.hasPrefix(gaveUpReason) == true: DeliveryStatusCode(4, 4, 7)
        default: DeliveryStatusCode(5, 0, 0)
        }
    }

    /// Reads the code at the beginning of a reply: `550 5.1.1 user unknown`, `550-5.1.1 …`, `5.1.1 …`. Nil when there
    /// is no code of class 4 or 5.
    init?(firstOf diagnostic: String) {
        let words = diagnostic.utf8.prefix(DeliveryStatusCode.longestBeginning)
            .split(maxSplits: 2) { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "#") }
        guard let found = words.prefix(2).lazy.compactMap({ DeliveryStatusCode(parsing: $0) }).first else { return nil }
        self = found
    }

    /// A code is looked for within this many octets.
    private static let longestBeginning = 24

    private init?(parsing word: Substring.UTF8View.SubSequence) {
        let parts = word.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].elementsEqual("4".utf8) || parts[0].elementsEqual("5".utf8) else { return nil }
        let numbers = parts.compactMap { part -> UInt16? in
            guard (1...3).contains(part.count), part.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
            return UInt16(String(decoding: part, as: UTF8.self))
        }
        guard numbers.count == 3 else { return nil }
        self.init(numbers[0], numbers[1], numbers[2])
    }
}
