/// What an attribute's value means. This determines which values a placeholder in it may have.
enum HTMLAttribute: Hashable, Sendable {
    /// Any value is safe once it is escaped.
    case plain
    /// The value is a URL.
    case url
    /// The value is a list of declarations of CSS.
    case style
    /// No placeholder may be in the attribute. The text says why: a sentence with its full stop.
    case forbidden(String)

    /// - Parameter name: in lower case.
    init(_ name: String) {
        let local = name.split(separator: ":", omittingEmptySubsequences: false).last.map(String.init) ?? name
        if name.hasPrefix("on") || local.hasPrefix("on") {
            self = .forbidden(
                "A value can't be used in an event attribute, whose content is a script; leave the attribute out.")
        } else if local == "srcdoc" {
            self = .forbidden("A value can't be used in srcdoc, whose content is HTML; put the value into the text.")
        } else if HTMLAttribute.urls.contains(local) {
            self = .url
        } else {
            self = local == "style" ? .style : .plain
        }
    }

    private static let urls: Set<String> = [
        "href", "src", "action", "formaction", "cite", "background", "poster", "data", "longdesc", "profile",
        "manifest",
        "ping", "codebase", "classid", "archive", "icon", "dynsrc", "lowsrc",
    ]
}

/// Elements whose content is text without tags (HTML standard, section 13.1.2). A reader is a program that displays the
/// mail.
enum HTMLRawText: Hashable, Sendable {
    /// Readers decode character references in the content.
    case escapable
    /// Readers do not decode character references in the content.
    case raw
    /// Readers that run scripts read the content as text. Readers that run none read it as markup.
    case noscript
    /// The element has no end tag: all that follows belongs to it.
    case plaintext

    /// Nil for an element whose content is not raw text.
    init?(_ name: String) {
        switch name {
        case "title", "textarea": self = .escapable
        case "script", "style", "xmp", "iframe", "noembed", "noframes": self = .raw
        case "noscript": self = .noscript
        case "plaintext": self = .plaintext
        default: return nil
        }
    }
}

/// What the next octet of a URL in an attribute says about the URL's scheme.
enum URLBeginning {
    /// Readers drop the octet.
    case blank
    /// The octet may belong to a scheme.
    case undecided
    /// The scheme has ended, or the URL has none.
    case settled
    /// The scheme is not known, because a placeholder or a character reference may be a part of it.
    case placeholderDecides

    /// - Parameter rest: the attribute's value from this octet on.
    init(_ rest: ArraySlice<UInt8>, isBehindPlaceholder: Bool) {
        switch rest.first {
        case nil: self = .undecided
        case UInt8(ascii: "/"), UInt8(ascii: "?"), UInt8(ascii: "#"), UInt8(ascii: "\\"): self = .settled
        case UInt8(ascii: ":"): self = isBehindPlaceholder ? .placeholderDecides : .settled
        case UInt8(ascii: "&"):
            // A reference may stand for any character. After a placeholder, only a colon and the blanks that readers
            // drop make a difference.
            let mayBeColon = ["#", "colon", "Tab", "NewLine"].contains { rest.dropFirst().starts(with: $0.utf8) }
            self = isBehindPlaceholder && !mayBeColon ? .settled : .placeholderDecides
        case let octet?: self = octet <= 0x20 ? .blank : .undecided
        }
    }
}
