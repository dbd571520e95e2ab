import InternetMessage

/// Reads the name of a domain to send from.
package enum SendingDomainName {
    /// Why a text is not such a name.
    package struct Mistake: Error, Hashable, Sendable {
        /// The rest of a sentence that begins with the text.
        package var predicate: String
    }

    /// Reads a name in A-labels or U-labels (RFC 5890 section 2.3.2.1). It must have a dot and at most ``longest``
    /// octets in A-labels.
    package static func read(_ text: String) -> Result<DomainName, Mistake> {
        if text.contains("@") {
            return .failure(Mistake(predicate: "is an address; give its domain only, such as example.com"))
        }
        if text.contains("/") {
            return .failure(Mistake(predicate: "holds a slash; give the domain only, such as example.com"))
        }
        guard let name = DomainName(text: text) else {
            return .failure(
                Mistake(
                    predicate:
                        "is not a domain; a domain consists of letters, digits and hyphens with dots between them and none at the end, such as example.com"
                ))
        }
        guard name.text.contains(".") else {
            return .failure(Mistake(predicate: "has no dot; give a whole domain, such as example.com"))
        }
        guard name.text.utf8.count <= longest else {
            return .failure(
                Mistake(
                    predicate: "is too long; use at most \(longest) characters, so that its DKIM records fit into DNS"))
        }
        return .success(name)
    }

    /// The longest name, in octets. The owner name of a DKIM record also has a token of 32 characters and
    /// `._domainkey.`, and a name in DNS has at most 253 octets.
    package static let longest = 253 - 32 - 12
}
