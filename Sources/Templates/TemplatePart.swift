import RelayCore
import StrictJSON

/// The form in which a value is written into its place.
enum ValueForm: Hashable, Sendable {
    /// Unchanged.
    case raw
    /// On one line: control characters become spaces.
    case line
    /// With character references for `& < > " '`. The value must follow these rules.
    case html(ValueRules)

    var rules: ValueRules {
        switch self {
        case .raw: .noNull
        case .line: []
        case .html(let rules): rules.union(.noNull)
        }
    }
}

/// The subject, HTML or text of a template, divided into literal text and slots for values.
struct TemplatePart: Sendable {
    enum Kind: String, Sendable {
        case subject, html, text
    }

    struct Slot: Sendable, Hashable {
        /// The index of the octet in ``TemplatePart/literal`` before which the value is inserted.
        var offset: Int
        /// The index of the variable.
        var variable: Int
        var form: ValueForm
    }

    /// The text without its placeholders.
    let literal: [UInt8]
    /// The slots in the order of the text.
    private(set) var slots: [Slot] = []

    /// - Parameters:
    ///   - names: receives the variables that the placeholders name.
    ///   - mistakes: receives the mistakes, in the order of the text.
    init(_ kind: Kind, _ source: [UInt8], _ names: inout VariableNames, _ mistakes: inout TemplateMistakes) {
        let parsed = TextWithPlaceholders(source, mostPlaceholders: TemplateContent.mostPlaceholders)
        literal = parsed.literal
        var faults = parsed.faults
        var places: [HTMLPlace]?
        if kind == .html {
            let found = HTMLPlaces(parsed.literal, parsed.placeholders.map(\.offset)).places
            for (placeholder, place) in zip(parsed.placeholders, found) {
                if case .forbidden(let why) = place { faults.append(.init(source: placeholder.source, detail: why)) }
            }
            places = found
        }
        if let index = source.firstIndex(where: { kind == .subject ? SubjectLine.isControl($0) : $0 == 0 }) {
            let detail =
                kind == .subject
                ? "The subject holds a line end or another control character; leave it out."
                : "The text holds a NUL character; leave it out."
            faults.append(.init(source: index, detail: detail))
        }
        faults.sort { $0.source < $1.source }
        var positions = TextPositions(source)
        for fault in faults where mistakes.hasRoom {
            let position = positions.position(of: fault.source)
            mistakes.add(fault.detail, at: .root.appending(kind.rawValue), position)
        }
        for (index, placeholder) in parsed.placeholders.enumerated() {
            let form: ValueForm
            switch kind {
            case .subject: form = .line
            case .text: form = .raw
            case .html:
                switch places?[index] {
                case .url(let isFirst): form = .html(isFirst ? .url : .noScheme)
                case .style: form = .html(.style)
                case .text, .attribute, .forbidden, nil: form = .html([])
                }
            }
            slots.append(Slot(offset: placeholder.offset, variable: names.index(of: placeholder.name), form: form))
        }
    }
}

/// Keeps a subject on one line.
enum SubjectLine {
    /// Whether the octet is a control character of ASCII other than tab. ``length(in:at:)`` finds those beyond ASCII.
    static func isControl(_ octet: UInt8) -> Bool { octet < 0x20 && octet != 0x09 || octet == 0x7F }

    /// The number of octets of the control character, tab, line separator or direction override that begins at `index`;
    /// 0 if none begins there.
    static func length(in text: ArraySlice<UInt8>, at index: Int) -> Int {
        switch text[index] {
        case 0..<0x20, 0x7F: 1
        // U+0080 to U+009F.
        case 0xC2 where index + 1 < text.endIndex && (0x80...0x9F).contains(text[index + 1]): 2
        // U+2028 and U+2029 separate lines. U+202D and U+202E change the direction of the text that follows.
        case 0xE2
        where index + 2 < text.endIndex && text[index + 1] == 0x80
            && [0xA8, 0xA9, 0xAD, 0xAE].contains(text[index + 2]):
            3
        default: 0
        }
    }

    /// The text with one space in place of each run of the characters that `length(in:at:)` finds.
    static func line(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard text.contains(where: { $0 < 0x20 || $0 == 0x7F || $0 == 0xC2 || $0 == 0xE2 }) else { return text }
        var line: [UInt8] = []
        line.reserveCapacity(text.count)
        var index = text.startIndex
        var isInRun = false
        while index < text.endIndex {
            let length = length(in: text, at: index)
            if length == 0 {
                line.append(text[index])
                index += 1
            } else {
                if !isInRun { line.append(0x20) }
                index += length
            }
            isInRun = length > 0
        }
        return line[...]
    }
}
