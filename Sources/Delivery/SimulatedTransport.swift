import RelayCore

/// Replaces SES for test keys. It accepts every message, as SES would, and does not use the network.
///
/// It treats recipients at `simulator.amazonses.com` as SES's mailbox simulator does. SES accepts these messages and
/// reports later what happened to them. Here the same events come with the outcome, so that an application's handling
/// of bounces can be tested without AWS. The mailbox `throttle` exists only in this relay: it answers the first two
/// attempts of each delivery as SES does when the sending rate is exceeded.
public struct SimulatedTransport: Transport {
    private let clock: any RelayClock
    private let random: @Sendable () -> UInt64

    static let throttledAttempts = 2

    /// - Parameter random: returns random bits for the ids of messages.
    public init(clock: any RelayClock, random: @escaping @Sendable () -> UInt64 = { .random(in: .min ... .max) }) {
        self.clock = clock
        self.random = random
    }

    /// Nil, because this transport never waits.
    public var executor: (any TaskExecutor)? { nil }

    public func send(_ delivery: ClaimedDelivery, body: any StoredBody) async -> DeliveryOutcome {
        let mailboxes = SimulatorMailbox.all(among: delivery.envelope.recipients)
        if mailboxes.contains(.throttle), delivery.attempts < SimulatedTransport.throttledAttempts {
            return .retry(
                .init("TooManyRequestsException", "Maximum sending rate exceeded (simulated)."), pace: .throttled)
        }
        var note: String?
        if let sender = delivery.envelope.reversePath, let obstacle = SenderIdentity.obstacle(to: sender) {
            note = SenderIdentity.note(unfit: sender, because: obstacle)
        }
        let events = mailboxes.isEmpty ? [] : events(for: delivery.envelope.recipients)
        return .simulated(sesMessageID: messageID(), note: note, events: events)
    }

    /// The events in the order of the recipients. Recipients outside the simulator's domain have none.
    private func events(for recipients: [String]) -> [ReportedEvent] {
        let now = clock.now()
        return recipients.flatMap { recipient in
            (SimulatorMailbox(recipient)?.events(at: now) ?? []).map { ReportedEvent($0, of: recipient) }
        }
    }

    /// An id in the form that SES uses in us-east-1: the region, the time in milliseconds, a random UUID, and zeros.
    private func messageID() -> String {
        let time = UInt64(0x0100) << 48 | UInt64(max(0, clock.now().milliseconds)) & 0xFFFF_FFFF_FFFF
        let version4 = random() & ~0xF000 | 0x4000
        let variant1 = random() & ~(0b11 << 62) | 0b10 << 62
        var text = HexText()
        text.append(time, digits: 16)
        text.append(version4 >> 32, digits: 8)
        text.append(version4 >> 16, digits: 4)
        text.append(version4, digits: 4)
        text.append(variant1 >> 48, digits: 4)
        text.append(variant1, digits: 12)
        text.append(0, digits: 6)
        return String(decoding: text.bytes, as: UTF8.self)
    }
}

/// The addresses of SES's mailbox simulator, each with or without a label (`bounce+42@…`).
enum SimulatorMailbox: String, CaseIterable {
    case success, bounce, complaint, ooto, suppressionlist, throttle

    static let domain = "simulator.amazonses.com"

    init?(_ recipient: String) {
        // Nearly all addresses are ruled out here, without an allocation.
        guard recipient.utf8.count > SimulatorMailbox.domain.utf8.count,
            let at = recipient.utf8.lastIndex(of: UInt8(ascii: "@")),
            recipient.utf8.distance(from: at, to: recipient.utf8.endIndex) == SimulatorMailbox.domain.utf8.count + 1
        else { return nil }
        let parts = recipient.lowercased().split(separator: "@", maxSplits: 1)
        guard parts.count == 2, parts[1] == SimulatorMailbox.domain else { return nil }
        self.init(rawValue: String(parts[0].prefix { $0 != "+" }))
    }

    /// The mailboxes among the recipients, each once, in the order of the cases.
    static func all(among recipients: [String]) -> [SimulatorMailbox] {
        let found = recipients.compactMap { SimulatorMailbox($0) }
        return found.isEmpty ? [] : allCases.filter(found.contains)
    }

    /// What SES reports about a message to this mailbox (Amazon SES Developer Guide, "Using the mailbox simulator
    /// manually").
    func events(at now: Timestamp) -> [RecipientEvent] {
        let delivered = RecipientEvent(
            .delivered, at: now,
            .init(diagnostic: "250 2.0.0 message accepted (simulated)", server: SimulatorMailbox.domain))
        switch self {
        case .success, .ooto: return [delivered]
        case .bounce:
            return [
                RecipientEvent(
                    .bounced, at: now,
                    .init(
                        bounceType: .hard, subtype: "General", diagnostic: "550 5.1.1 user unknown (simulated)",
                        server: SimulatorMailbox.domain))
            ]
        case .suppressionlist:
            return [
                RecipientEvent(
                    .bounced, at: now,
                    .init(
                        bounceType: .hard, subtype: "Suppressed",
                        diagnostic: "the address is on the suppression list of Amazon SES (simulated)"))
            ]
        case .complaint:
            // A complaint can't come before the message has arrived, so its time is later.
            return [
                delivered,
                RecipientEvent(.complained, at: now + .milliseconds(1), .init(subtype: "abuse")),
            ]
        case .throttle: return []
        }
    }
}

/// Text of hexadecimal groups with hyphens between them.
private struct HexText {
    private(set) var bytes: [UInt8] = []

    init() { bytes.reserveCapacity(60) }

    mutating func append(_ value: UInt64, digits: Int) {
        if !bytes.isEmpty { bytes.append(UInt8(ascii: "-")) }
        for i in (0..<digits).reversed() {
            let digit = UInt8(truncatingIfNeeded: value >> UInt64(4 * i) & 0xF)
            bytes.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
        }
    }
}
