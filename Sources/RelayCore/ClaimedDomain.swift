/// A domain that a message claims to come from: that of its envelope sender, or of an author in its header.
public struct ClaimedDomain: Hashable, Sendable {
    /// Where in the message the domain is claimed.
    public enum Place: Hashable, Sendable {
        /// MAIL FROM.
        case envelope
        /// The From field.
        case from
        /// Sender, Resent-From or Resent-Sender.
        case sender
        /// An address in the display name of one of the fields above. Some mail programs show it as the author's
        /// address.
        case displayName
        /// Different mail programs can read one of the fields above in different ways, which can't be predicted. `name`
        /// is nil, and `text` is a sentence that says why.
        case unclear
    }

    /// The part of the message that names the domain.
    public var place: Place
    /// The domain in lower-case A-labels. Nil for an address literal and for ``Place/unclear``, which no allowlist
    /// covers.
    public var name: String?
    /// The domain as the message has it, to be repeated in the reply; for ``Place/unclear``, the sentence. It is
    /// printable ASCII.
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
                    "This API key may not send as \(domain.text): it may send only from \(allowedDomains); use an address of such a domain as sender, or add the domain to the key"
                )
            case .from:
                return Refusal(
                    .headerDomain,
                    "This API key may not send mail whose From is at \(domain.text); it may send only from \(allowedDomains): change the From field or the key"
                )
            case .sender:
                return Refusal(
                    .headerDomain,
                    "This API key may not send mail whose Sender is at \(domain.text); it may send only from \(allowedDomains): change or remove the Sender field, or change the key"
                )
            case .displayName:
                return Refusal(
                    .headerDomain,
                    "Some mail programs would show an address at \(domain.text) in the display name as the author, and this API key may not send as that; it may send only from \(allowedDomains): leave the address out of the name or change the key"
                )
            case .unclear:
                return Refusal(
                    .headerFrom,
                    "This API key may send only from certain domains, so there must be only one way to read who the author is. \(domain.text)"
                )
            }
        }
        return nil
    }

    /// Some of the allowed domains: enough to see the mistake, and few enough for one line.
    private var allowedDomains: String {
        let shown = domains.prefix(3).map(\.description).joined(separator: ", ")
        return domains.count > 3 ? "\(shown) and \(domains.count - 3) more" : shown
    }
}
