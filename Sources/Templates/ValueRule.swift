import RelayCore

/// The rules for a value that follow from the places of its variable. They apply in addition to the type of the
/// variable.
struct ValueRules: OptionSet, Hashable, Sendable {
    let rawValue: Int

    /// The value is a whole URL or its beginning. A scheme in it must be an allowed one.
    static let url = ValueRules(rawValue: 1)
    /// The value is in a URL, after text that may belong to a scheme. It must not begin with a scheme.
    static let noScheme = ValueRules(rawValue: 2)
    /// The value is in a `style` attribute. It must not end the declaration there.
    static let style = ValueRules(rawValue: 4)
    /// The value is in a body. It must not contain NUL.
    static let noNull = ValueRules(rawValue: 8)

    /// Why a value breaks the rules, as the rest of a sentence whose subject is the variable. Nil if the value follows
    /// the rules.
    func fault(of value: ArraySlice<UInt8>) -> String? {
        if contains(.noNull), value.contains(0) { return "holds a NUL character; leave it out" }
        if contains(.url), !URLScheme.isAllowed(value) {
            return
                "is in a link or the address of an image, so it must begin with \(URLScheme.listed), or be a relative URL"
        }
        if contains(.noScheme), URLScheme(value) != nil {
            return "is within a URL, so it can't begin with a scheme; write its colon as %3A"
        }
        if contains(.style), value.contains(where: ValueRules.endsDeclaration) {
            return
                "is in a style attribute, so it can't hold quotation marks, parentheses, braces, semicolons, backslashes, < or >"
        }
        return nil
    }

    /// Whether the octet may end the value of a CSS declaration, or begin a function or a string in it.
    private static func endsDeclaration(_ octet: UInt8) -> Bool {
        octet < 0x20 || octet == 0x7F || ";{}()[]\\\"'<>".utf8.contains(octet)
    }
}

/// The scheme that a URL begins with.
struct URLScheme {
    /// In lower case.
    let name: String

    /// Nil if the URL is relative. Reads the scheme as browsers do (URL Standard): spaces and control characters before
    /// the scheme are dropped, and so are tabs and line ends within it.
    init?(_ url: ArraySlice<UInt8>) {
        var name: [UInt8] = []
        for octet in url.drop(while: { $0 <= 0x20 }) {
            switch octet {
            case 0x09, 0x0A, 0x0D: continue
            case UInt8(ascii: ":"):
                self.name = String(decoding: name.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
                return
            case UInt8(ascii: "/"), UInt8(ascii: "?"), UInt8(ascii: "#"), UInt8(ascii: "\\"): return nil
            default: name.append(octet)
            }
            // No allowed scheme is so long.
            if name.count > 64 { name.removeLast() }
        }
        return nil
    }

    private static let allowed = ["http", "https", "mailto", "tel", "cid"]
    static let listed = "http:, https:, mailto:, tel: or cid:"

    /// Whether a link or an image may have this URL: it is relative, or has an allowed scheme.
    static func isAllowed(_ url: ArraySlice<UInt8>) -> Bool { URLScheme(url).map { allowed.contains($0.name) } ?? true }

    /// Whether a URL with this scheme contains a script or a document.
    static func isScript(_ written: [UInt8]) -> Bool {
        let name = written.filter { $0 > 0x20 }.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
        return ["javascript", "vbscript", "livescript", "data"].contains { $0.utf8.elementsEqual(name) }
    }
}
