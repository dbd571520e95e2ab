import RelayCore

/// What a value must be beyond its type, for the places in which its variable stands.
struct ValueRules: OptionSet, Hashable, Sendable {
    let rawValue: Int

    /// It is a whole URL, or its beginning.
    static let url = ValueRules(rawValue: 1)
    /// It stands in a URL behind something that is no scheme.
    static let noScheme = ValueRules(rawValue: 2)
    /// It stands in a `style` attribute.
    static let style = ValueRules(rawValue: 4)
    /// It stands in a body.
    static let noNull = ValueRules(rawValue: 8)

    /// What is wrong with a value, as the rest of a sentence whose subject is the variable; nil if nothing is.
    func fault(of value: ArraySlice<UInt8>) -> String? {
        if contains(.noNull), value.contains(0) { return "holds a NUL character; leave it out" }
        if contains(.url), !URLScheme.isAllowed(value) {
            return
                "stands in a link or an address of an image, so it must begin with \(URLScheme.listed), or with the path of a relative URL"
        }
        if contains(.noScheme), URLScheme(value) != nil {
            return "stands within a URL, so it can't begin with a scheme; write its colon as %3A"
        }
        if contains(.style), value.contains(where: ValueRules.endsDeclaration) {
            return
                "stands in a style attribute, so it can't hold quotation marks, parentheses, braces, semicolons, backslashes, < or >"
        }
        return nil
    }

    /// Whether the octet may end the value of a declaration of CSS, or begin a function or a string there.
    private static func endsDeclaration(_ octet: UInt8) -> Bool {
        octet < 0x20 || octet == 0x7F || ";{}()[]\\\"'<>".utf8.contains(octet)
    }
}

/// The scheme that a URL begins with.
struct URLScheme {
    /// In lower case.
    let name: String

    /// Nil where the URL is relative. Reads as browsers do (URL Standard): blanks and control characters before it are dropped, tabs
    /// and line ends within it too.
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
            // No scheme is so long, and what is longer has no allowed name.
            if name.count > 64 { name.removeLast() }
        }
        return nil
    }

    private static let allowed = ["http", "https", "mailto", "tel", "cid"]
    static let listed = "http:, https:, mailto:, tel: or cid:"

    /// Whether a link may go there.
    static func isAllowed(_ url: ArraySlice<UInt8>) -> Bool { URLScheme(url).map { allowed.contains($0.name) } ?? true }

    /// Whether what stands behind this scheme is a program or a document.
    static func isScript(_ written: [UInt8]) -> Bool {
        let name = written.filter { $0 > 0x20 }.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
        return ["javascript", "vbscript", "livescript", "data"].contains { $0.utf8.elementsEqual(name) }
    }
}
