/// Whether an address can be an identity of SES: one whose domain or mailbox can be verified there at all.
///
/// SES verifies a domain by records in the public DNS and an address by a mail to it, which needs them too. Names that the
/// public DNS will never have can pass neither, whatever an operator does.
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

    /// Top-level names that the public DNS does not have, and is not to have:
    /// - local: RFC 6762 section 3 gives it to multicast DNS
    /// - localhost, invalid: RFC 6761 sections 6.3 and 6.4, by which applications may treat them as special
    /// - onion: RFC 7686; alt: RFC 9476
    /// - internal, home, corp: kept out of the root by ICANN for private use, or for the use that they have
    /// - localdomain, lan, intranet: what installers and routers name machines by
    ///
    /// Not so `test` and `example`: by RFC 6761 sections 6.2 and 6.5 applications are to take them like any other. SES's own
    /// answer decides there.
    private static let privateNames: Set<Substring> = [
        "local", "localhost", "invalid", "onion", "alt", "internal", "home", "corp", "localdomain", "lan", "intranet",
    ]

    /// What is put on record of a message whose bounces SES can't report to its envelope sender.
    public static func note(unfit sender: String, because obstacle: String) -> String {
        "SES reports bounces to the From address, as the envelope sender \(sender) can't be verified with SES: \(obstacle); "
            + "give the application an envelope sender (Return-Path) at a domain that SES has verified"
    }
}
