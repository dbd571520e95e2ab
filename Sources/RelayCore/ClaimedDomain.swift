/// A domain that a message claims to come from: of its envelope sender, or of an author that its header names.
public struct ClaimedDomain: Hashable, Sendable {
    /// Where the message claims it.
    public enum Place: Hashable, Sendable {
        /// MAIL FROM.
        case envelope
        /// The From field.
        case from
        /// Sender, Resent-From or Resent-Sender.
        case sender
    }

    public var place: Place
    /// In lower-case A-labels; nil for an address literal, which no allowlist covers.
    public var name: String?
    /// As the message has it, for the reply: printable ASCII.
    public var text: String

    public init(_ place: Place, name: String?, text: String) {
        self.place = place
        self.name = name
        self.text = text
    }
}

extension Key {
    /// Why the key may not send a message that claims these domains; nil if it may.
    public func refusal(of domains: [ClaimedDomain]) -> Refusal? {
        for domain in domains where !allows(domain: domain.name) {
            switch domain.place {
            case .envelope:
                return Refusal(
                    .senderDomain,
                    "This API key may not send from \(domain.text); it is allowed \(allowedDomains): change the envelope sender or the key"
                )
            case .from:
                return Refusal(
                    .headerDomain,
                    "This API key may not send mail whose From is at \(domain.text); it is allowed \(allowedDomains): change the From field or the key"
                )
            case .sender:
                return Refusal(
                    .headerDomain,
                    "This API key may not send mail whose Sender is at \(domain.text); it is allowed \(allowedDomains): change or remove the Sender field, or change the key"
                )
            }
        }
        return nil
    }

    /// A few of the allowed domains: enough to see the mistake, few enough for one line.
    private var allowedDomains: String {
        let shown = domains.prefix(3).map(\.description).joined(separator: ", ")
        return domains.count > 3 ? "\(shown) and \(domains.count - 3) more" : shown
    }
}
