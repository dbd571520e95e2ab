import InternetMessage

/// Reads the name of a domain that somebody wants to send from.
package enum SendingDomainName {
    package struct Mistake: Error, Hashable, Sendable {
        /// Completes a sentence that begins with what was given.
        package var predicate: String
    }

    /// In A-labels or U-labels.
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
                        "is no domain; it is like example.com: letters, digits and hyphens, with dots in between and none at the end"
                ))
        }
        guard name.text.contains(".") else {
            return .failure(Mistake(predicate: "has no dot; a domain to send from is like example.com"))
        }
        guard name.text.utf8.count <= longest else {
            return .failure(
                Mistake(predicate: "is too long; with over \(longest) characters its DKIM records have no room in DNS"))
        }
        return .success(name)
    }

    /// In front come a token of 32 characters and `._domainkey.`, and a name in DNS has at most 253.
    package static let longest = 253 - 32 - 12
}
