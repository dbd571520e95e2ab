/// Whether an address can be an SES identity, that is, whether its domain or mailbox can be verified with SES at all.
///
/// SES verifies a domain by records in the public DNS, and an address by a mail to the address, which needs the public
/// DNS too. Names that can never be in the public DNS can't be verified, whatever an operator does.
public enum SenderIdentity {
    /// Why the address can't be verified, as the end of a sentence; nil if it can.
    public static func obstacle(to address: String) -> String? {
        let domain =
            address.utf8.lastIndex(of: UInt8(ascii: "@")).map { address[address.utf8.index(after: $0)...] }
            ?? address[...]
        if domain.utf8.first == UInt8(ascii: "[") { return "it is at an address literal" }
        let labels = domain.lowercased().split(separator: ".", omittingEmptySubsequences: true)
        guard let last = labels.last else { return "it has no domain" }
        if labels.count == 1 { return "'\(domain)' is the name of a machine, not a domain of the public DNS" }
        if privateNames.contains(last) || labels.suffix(2) == ["home", "arpa"] {
            return "no name under .\(last == "arpa" ? "home.arpa" : last) is in the public DNS"
        }
        return nil
    }

    /// Top-level names that the public DNS does not have and will not have:
    /// - local: RFC 6762 section 3 assigns it to multicast DNS
    /// - localhost, invalid: RFC 6761 sections 6.3 and 6.4 allow applications to treat them as special
    /// - onion: RFC 7686; alt: RFC 9476
    /// - internal, home, corp: ICANN keeps them out of the root, for private use or because of their existing use
    /// - localdomain, lan, intranet: the names that installers and routers give to machines
    ///
    /// `test` and `example` are not in the list: RFC 6761 sections 6.2 and 6.5 ask applications to treat them like any
    /// other name. For them, SES's own answer decides.
    private static let privateNames: Set<Substring> = [
        "local", "localhost", "invalid", "onion", "alt", "internal", "home", "corp", "localdomain", "lan", "intranet",
    ]

    /// The note that is recorded with a message whose bounces SES can't report to its envelope sender.
    public static func note(unfit sender: String, because obstacle: String) -> String {
        "SES reports bounces to the From address, because the envelope sender \(sender) can't be verified with SES: \(obstacle); "
            + "give the application an envelope sender (Return-Path) at a domain that SES has verified"
    }
}
