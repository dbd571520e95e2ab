/// The place of a placeholder in HTML.
enum HTMLPlace: Hashable, Sendable {
    /// In text, where readers decode character references.
    case text
    /// In a quoted attribute.
    case attribute
    /// At the beginning of a URL in an attribute, where the value can determine the URL's scheme.
    ///
    /// - Parameter isFirst: only blanks come before the placeholder.
    case url(isFirst: Bool)
    /// In a `style` attribute.
    case style
    /// In a place where no placeholder may be. The text says why: a sentence with its full stop.
    case forbidden(String)
}

/// Finds the places of placeholders in HTML, as the tokenizer of the HTML standard does (section 13.2.5).
///
/// A reader is a program that displays the mail. An escaped value can't leave the text or the quoted attribute that
/// it is in. So the only question is what state a reader is in at a placeholder. If readers can differ on that state,
/// the placeholder is refused.
struct HTMLPlaces {
    /// A place for each placeholder, in their order.
    private(set) var places: [HTMLPlace] = []

    private let html: [UInt8]
    private let offsets: [Int]
    /// The index of the first placeholder that has no place yet.
    private var pending = 0
    /// Why readers can differ on everything that follows. Nil while they agree.
    private var doubt: String?
    /// Whether the text had an element in which some readers read raw text as markup.
    private var isUnusual = false
    /// The number of open `svg` and `math` elements, by name.
    private var foreign: [String: Int] = [:]
    private let isWithinNoscript: Bool

    /// - Parameters:
    ///   - html: the text without the placeholders.
    ///   - offsets: the index of the octet after each placeholder, in rising order.
    init(_ html: [UInt8], _ offsets: [Int]) { self.init(html, offsets, isWithinNoscript: false) }

    private init(_ html: [UInt8], _ offsets: [Int], isWithinNoscript: Bool) {
        self.html = html
        self.offsets = offsets
        self.isWithinNoscript = isWithinNoscript
        places.reserveCapacity(offsets.count)
        // Without placeholders only one thing is asked: whether readers agree on the content of a noscript element.
        guard !offsets.isEmpty || isWithinNoscript else { return }
        scan()
    }

    // MARK: Text

    private mutating func scan() {
        var index = 0
        while let start = find(UInt8(ascii: "<"), from: index) {
            // The placeholders before the bracket are in text.
            place(upTo: start, .text)
            index = markup(at: start)
            if index > html.count || pending == offsets.count && !isWithinNoscript { return }
        }
        place(upTo: html.count, .text)
        endsInText = true
    }

    /// Whether the last octet belongs to text, and not to a tag or to the content of a raw text element.
    private var endsInText = false

    /// Gives this place to all pending placeholders up to the offset `end`, inclusive.
    private mutating func place(upTo end: Int, _ place: HTMLPlace) {
        while pending < offsets.count, offsets[pending] <= end {
            places.append(judged(place))
            pending += 1
        }
    }

    private func judged(_ place: HTMLPlace) -> HTMLPlace {
        if case .forbidden = place { return place }
        if let doubt { return .forbidden(doubt) }
        if foreign.values.contains(where: { $0 > 0 }) {
            return .forbidden(
                "A value can't be used in <svg> or <math>; use an image, or put the placeholder elsewhere.")
        }
        return place
    }

    private func find(_ octet: UInt8, from start: Int) -> Int? {
        html[min(start, html.count)...].firstIndex(of: octet)
    }

    private func isAt(_ index: Int, _ text: StaticString) -> Bool {
        text.withUTF8Buffer { text in
            index + text.count <= html.count && html[index..<(index + text.count)].elementsEqual(text)
        }
    }

    /// The index after the first occurrence of `text` from `start` on. Nil if there is none.
    private func end(of text: StaticString, from start: Int) -> Int? {
        guard text.utf8CodeUnitCount > 0, start <= html.count else { return nil }
        var index = start
        while let found = find(text.utf8Start.pointee, from: index) {
            if isAt(found, text) { return found + text.utf8CodeUnitCount }
            index = found + 1
        }
        return nil
    }

    // MARK: Markup

    /// Scans the markup that begins with the `<` at `start`, and places the placeholders in it. Returns the index at
    /// which text continues, or an index past the end if no text follows.
    private mutating func markup(at start: Int) -> Int {
        let inTag =
            "A value can't be used directly after <, where it would be the name of a tag; write &lt; for the character <."
        let next = start + 1
        guard next < html.count else {
            place(upTo: html.count, .forbidden(inTag))
            return html.count + 1
        }
        switch html[next] {
        case UInt8(ascii: "!"), UInt8(ascii: "?"): return declaration(at: start)
        case UInt8(ascii: "/"):
            guard next + 1 < html.count, HTMLOctets.isLetter(html[next + 1]) else {
                return bogus(at: start, inTag)
            }
            return tag(at: start, name: next + 1)
        case let octet where HTMLOctets.isLetter(octet): return tag(at: start, name: next)
        default:
            // A bracket that begins no markup is text.
            place(upTo: next, .forbidden(inTag))
            return next
        }
    }

    private static let inComment =
        "A value can't be used in a comment or declaration, because it could end it; put the placeholder outside."

    /// Scans a comment, a document type, or a bogus comment (HTML standard, section 13.2.5.41).
    private mutating func declaration(at start: Int) -> Int {
        guard isAt(start, "<!--") else {
            if isAt(start, "<![CDATA["), isUnusual {
                doubt = "Readers differ on the CDATA section before this placeholder; leave the section out."
            }
            return bogus(at: start, HTMLPlaces.inComment)
        }
        if isAt(start, "<!-->") || isAt(start, "<!--->") {
            doubt = "Readers differ on the comment \"<!-->\" before this placeholder; leave it out."
        }
        guard let end = end(of: "-->", from: start + 4) else {
            place(upTo: html.count, .forbidden(HTMLPlaces.inComment))
            return html.count + 1
        }
        place(upTo: end - 1, .forbidden(HTMLPlaces.inComment))
        if HTMLOctets.holds("--!>", in: html[start..<end]) {
            doubt = "Readers differ on a comment that ends with \"--!>\" before this placeholder; end it with \"-->\"."
        }
        return end
    }

    /// Scans a bogus comment or a tag without a name: everything up to the next `>`.
    private mutating func bogus(at start: Int, _ why: String) -> Int {
        guard let end = find(UInt8(ascii: ">"), from: start) else {
            place(upTo: html.count, .forbidden(why))
            return html.count + 1
        }
        place(upTo: end, .forbidden(why))
        return end + 1
    }

    // MARK: Tags

    private static let inTag =
        "A value can't be used in a tag outside of a quoted attribute; put it into one, such as title=\"{{name}}\"."

    /// Scans a tag, and the element's content if it is raw text.
    private mutating func tag(at start: Int, name nameStart: Int) -> Int {
        var index = nameStart
        while index < html.count, !HTMLOctets.endsName(html[index]) { index += 1 }
        let name = HTMLOctets.lowercased(html[nameStart..<index])
        place(upTo: index, .forbidden(HTMLPlaces.inTag))
        let isEnd = nameStart > start + 1
        guard let (end, isSelfClosing) = attributes(from: index) else {
            place(upTo: html.count, .forbidden(HTMLPlaces.inTag))
            return html.count + 1
        }
        if name == "svg" || name == "math" {
            isUnusual = true
            if isEnd {
                foreign[name] = max(0, foreign[name, default: 0] - 1)
            } else if !isSelfClosing {
                foreign[name, default: 0] += 1
            }
        }
        if name == "select" || name == "frameset" { isUnusual = true }
        if isEnd { return end }
        return HTMLRawText(name).map { rawText($0, name, from: end) } ?? end
    }

    /// Scans the attributes of a tag. Returns the index after its `>`, or nil if the tag has no `>`.
    private mutating func attributes(from start: Int) -> (end: Int, isSelfClosing: Bool)? {
        var index = start
        // The index of the last solidus that belongs to no value.
        var solidus = -1
        while index < html.count {
            let octet = html[index]
            if octet == UInt8(ascii: ">") {
                place(upTo: index, .forbidden(HTMLPlaces.inTag))
                return (index + 1, solidus == index - 1)
            }
            if HTMLOctets.isBlank(octet) || octet == UInt8(ascii: "/") {
                if octet == UInt8(ascii: "/") { solidus = index }
                index += 1
                continue
            }
            let nameStart = index
            // An equals sign that comes first belongs to the name.
            index += 1
            while index < html.count, !HTMLOctets.endsName(html[index]), html[index] != UInt8(ascii: "=") { index += 1 }
            place(upTo: index, .forbidden(HTMLPlaces.inTag))
            let attribute = HTMLAttribute(HTMLOctets.lowercased(html[nameStart..<index]))
            var behind = index
            while behind < html.count, HTMLOctets.isBlank(html[behind]) { behind += 1 }
            guard behind < html.count, html[behind] == UInt8(ascii: "=") else { continue }
            behind += 1
            while behind < html.count, HTMLOctets.isBlank(html[behind]) { behind += 1 }
            if pending < offsets.count, offsets[pending] <= behind {
                // The value begins with the placeholder, which `html` does not contain.
                index = offsets[pending]
                while index < html.count, !HTMLOctets.isBlank(html[index]), html[index] != UInt8(ascii: ">") {
                    index += 1
                }
                place(upTo: index, .forbidden(HTMLPlaces.unquoted))
                continue
            }
            guard behind < html.count else { return nil }
            let quote = html[behind]
            if quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") {
                guard let end = find(quote, from: behind + 1) else {
                    placeValue(attribute, from: behind + 1, to: html.count)
                    return nil
                }
                placeValue(attribute, from: behind + 1, to: end)
                index = end + 1
            } else {
                index = behind
                while index < html.count, !HTMLOctets.isBlank(html[index]), html[index] != UInt8(ascii: ">") {
                    index += 1
                }
                place(upTo: index, .forbidden(HTMLPlaces.unquoted))
            }
        }
        return nil
    }

    private static let unquoted =
        "A value can't be used in an attribute without quotation marks; put them around it, such as title=\"{{name}}\"."

    /// Places the placeholders in a quoted value.
    private mutating func placeValue(_ attribute: HTMLAttribute, from start: Int, to end: Int) {
        guard pending < offsets.count, offsets[pending] <= end else { return }
        switch attribute {
        case .plain: place(upTo: end, .attribute)
        case .style: place(upTo: end, .style)
        case .forbidden(let why): place(upTo: end, .forbidden(why))
        case .url: placeURL(from: start, to: end)
        }
    }

    /// Places the placeholders in a URL. A placeholder counts as at the beginning of the URL if nothing before the
    /// placeholder settles the scheme.
    private mutating func placeURL(from start: Int, to end: Int) {
        var index = start
        var isFirst = true
        var hasPlaceholder = false
        var written: [UInt8] = []
        while pending < offsets.count, offsets[pending] <= end {
            let offset = offsets[pending]
            while index < offset {
                let step = URLBeginning(html[index..<end], isBehindPlaceholder: hasPlaceholder)
                switch step {
                case .blank: break
                case .undecided:
                    isFirst = false
                    written.append(html[index])
                case .settled:
                    guard html[index] == UInt8(ascii: ":"), URLScheme.isScript(written) else {
                        return place(upTo: end, .attribute)
                    }
                    return place(upTo: end, .forbidden(HTMLPlaces.script))
                case .placeholderDecides: return place(upTo: end, .forbidden(HTMLPlaces.scheme))
                }
                index += 1
            }
            places.append(judged(.url(isFirst: isFirst)))
            pending += 1
            (isFirst, hasPlaceholder) = (false, true)
        }
        // The text after the last placeholder may still make the placeholder a part of a scheme.
        while hasPlaceholder, index < end {
            switch URLBeginning(html[index..<end], isBehindPlaceholder: true) {
            case .settled: return
            case .placeholderDecides:
                if let last = places.indices.last { places[last] = .forbidden(HTMLPlaces.scheme) }
                return
            case .blank, .undecided: index += 1
            }
        }
    }

    private static let scheme =
        "A value can't be a part of a URL's scheme; give the whole URL as the value, or write the scheme in the template."
    private static let script =
        "A value can't be used in a URL that holds a script or a document; use https, mailto or tel."

    // MARK: Raw text

    /// Scans the content of a raw text element up to its end tag.
    private mutating func rawText(_ kind: HTMLRawText, _ name: String, from start: Int) -> Int {
        let end = kind == .plaintext ? nil : endTag(name, from: start)
        let content = html[start..<(end ?? html.count)]
        if kind == .noscript {
            // Readers that run scripts read the content as text. Readers that run none read it as markup.
            if !isWithinNoscript, end != nil {
                let within = HTMLPlaces(Array(content), [], isWithinNoscript: true)
                if !within.endsInText || within.doubt != nil || within.isUnusual { doubt = HTMLPlaces.doubt(name) }
            } else {
                doubt = HTMLPlaces.doubt(name)
            }
        } else if isUnusual || isWithinNoscript, HTMLOctets.holdsMarkup(content) {
            doubt = HTMLPlaces.doubt(name)
        } else if name == "script", HTMLOctets.holds("<!--", in: content) {
            doubt = HTMLPlaces.doubt(name)
        }
        placeRawText(kind, name, from: start, to: end ?? html.count)
        return end ?? html.count + 1
    }

    private mutating func placeRawText(_ kind: HTMLRawText, _ name: String, from start: Int, to end: Int) {
        while pending < offsets.count, offsets[pending] <= end {
            let offset = offsets[pending]
            let place: HTMLPlace
            switch kind {
            case .escapable where !HTMLOctets.endsInTagName(html[start..<offset]): place = .text
            case .escapable: place = .forbidden(HTMLPlaces.inTag)
            case .raw, .noscript, .plaintext:
                place = .forbidden(
                    "A value can't be used in <\(name)>, where it can't be escaped; put the placeholder elsewhere.")
            }
            places.append(judged(place))
            pending += 1
        }
    }

    /// The reason for which placeholders after this element are refused.
    private static func doubt(_ name: String) -> String {
        "Readers differ on the content of <\(name)> before this placeholder; simplify it, or put the placeholder before it."
    }

    /// The index at which the end tag of a raw text element begins. Nil if it has none.
    private func endTag(_ name: String, from start: Int) -> Int? {
        let name = Array(name.utf8)
        var index = start
        while let found = find(UInt8(ascii: "<"), from: index) {
            let nameStart = found + 2
            let nameEnd = nameStart + name.count
            if nameEnd < html.count, html[found + 1] == UInt8(ascii: "/"), HTMLOctets.endsName(html[nameEnd]),
                html[nameStart..<nameEnd].lazy.map(HTMLOctets.lowercased).elementsEqual(name)
            {
                return found
            }
            index = found + 1
        }
        return nil
    }
}
