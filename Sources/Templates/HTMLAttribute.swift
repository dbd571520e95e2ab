/// What a placeholder in an attribute's value may become.
enum HTMLAttribute: Hashable, Sendable {
    case plain
    case url
    case style
    /// Why no value may stand there: a sentence with its full stop.
    case forbidden(String)

    /// - Parameter name: in lower case.
    init(_ name: String) {
        let local = name.split(separator: ":", omittingEmptySubsequences: false).last.map(String.init) ?? name
        if name.hasPrefix("on") || local.hasPrefix("on") {
            self = .forbidden(
                "A value can't stand in an event attribute, which runs as a script; leave the attribute out.")
        } else if local == "srcdoc" {
            self = .forbidden("A value can't stand in srcdoc, which is HTML by itself; put it into the text.")
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

/// Elements whose content is no markup.
enum HTMLRawText: Hashable, Sendable {
    /// Character references are decoded in it.
    case escapable
    case raw
    /// Text or markup, as the reader runs scripts or not.
    case noscript
    /// It never ends.
    case plaintext

    /// Nil for other elements.
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

/// What the next octet of a URL in an attribute says about its scheme.
enum URLBeginning {
    /// Readers drop it.
    case blank
    case undecided
    /// There is a scheme, or there can be none any more.
    case settled
    /// A scheme may end here that a placeholder is a part of.
    case placeholderDecides

    /// - Parameter rest: the attribute's value from this octet on.
    init(_ rest: ArraySlice<UInt8>, isBehindPlaceholder: Bool) {
        switch rest.first {
        case nil: self = .undecided
        case UInt8(ascii: "/"), UInt8(ascii: "?"), UInt8(ascii: "#"), UInt8(ascii: "\\"): self = .settled
        case UInt8(ascii: ":"): self = isBehindPlaceholder ? .placeholderDecides : .settled
        case UInt8(ascii: "&"):
            // A reference may stand for any character; behind a placeholder only for a colon, or a blank that is dropped, does it
            // matter.
            let mayBeColon = ["#", "colon", "Tab", "NewLine"].contains { rest.dropFirst().starts(with: $0.utf8) }
            self = isBehindPlaceholder && !mayBeColon ? .settled : .placeholderDecides
        case let octet?: self = octet <= 0x20 ? .blank : .undecided
        }
    }
}
