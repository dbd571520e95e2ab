import FuzzSupport
import InternetMessage

extension Property {
    /// An address has one written form. Reading that form gives the same address, also within a path.
    public static let address = Property("address") { input in
        if let mailbox = try? AddrSpec(parsing: input) {
            try checkForm(mailbox)
            let (path, rest) = try SMTPPath.parsePath(Array("<\(mailbox.text)> SIZE=1".utf8))
            try require(
                path == .mailbox(mailbox) && rest.elementsEqual(" SIZE=1".utf8), "\(mailbox) as a path: \(path)")
        }
        for start in input.indices.prefix(2) {
            guard let (path, rest) = try? SMTPPath.parsePath(input[start...]) else { continue }
            try require(rest.isEmpty || rest.first == 0x20, "\(shown(rest)) is left over from \(shown(input))")
            try require(rest.endIndex == input.endIndex, "the rest is not the end of \(shown(input))")
            if case .mailbox(let mailbox) = path { try checkForm(mailbox) }
        }
        let text = String(decoding: input, as: UTF8.self)
        if let domain = DomainName(text: text) {
            try require(DomainName(text: domain.text) == domain, "the domain \(domain) changes")
            try require(DomainName(ascii: domain.text.utf8) == domain, "the domain \(domain) is not an ASCII domain")
            try require(!domain.isSubdomain(of: domain), "\(domain) is a subdomain of itself")
        }
        _ = EncodedWord.decode(input[...])
    }

    private static func checkForm(_ mailbox: AddrSpec) throws {
        let text = mailbox.text
        try require(
            text.utf8.allSatisfy { (0x20...0x7E).contains($0) }, "\(text.debugDescription) has a control character")
        try require(text.utf8.count <= AddrSpec.maximumLength, "\(text) is too long")
        let again = try AddrSpec(parsing: text.utf8)
        try require(again == mailbox && again.text == text, "\(text) becomes \(again)")
    }
}
