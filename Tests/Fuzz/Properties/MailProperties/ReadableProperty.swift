import FuzzSupport
import InternetMessage

extension Property {
    /// A message for display is within the limits and fit for a web page, even if it is cut off anywhere. Lower limits
    /// show the beginning of the same content.
    public static let readable = Property("readable") { input in
        let whole = ReadableMessage(input)
        try checkBounds(whole, ReadableMessage.Limits(), input)
        var limits = ReadableMessage.Limits()
        limits.depth = 2
        limits.parts = 3
        limits.fields = 4
        limits.fieldCharacters = 20
        limits.textSize = 50
        limits.images = 2
        limits.imageSize = 40
        let small = ReadableMessage(input, limits: limits)
        try checkBounds(small, limits, input)
        try checkBeginning(small, of: whole, input)
        // Not every length is checked, because the time for an input would grow with the square of its length.
        let step = max(1, input.count / 16)
        for end in stride(from: 0, to: input.count, by: step) {
            let cut = Array(input[..<end])
            try checkBounds(ReadableMessage(cut), ReadableMessage.Limits(), cut)
        }
    }
}

private func checkBounds(
    _ message: ReadableMessage, _ limits: ReadableMessage.Limits, _ input: [UInt8]
) throws(Violation) {
    func holds(_ condition: Bool, _ what: String) throws(Violation) {
        try require(condition, "\(what): \(shown(input)) is read as \(message)")
    }
    try holds(message.fields.count <= limits.fields, "too many fields")
    for field in message.fields {
        try holds(field.value.unicodeScalars.count <= limits.fieldCharacters, "a value is too long")
        try holds(
            field.value.unicodeScalars.allSatisfy { $0 == "\t" || !isControl($0) }, "a value has a control character")
        try holds(field.name.utf8.count <= limits.fieldCharacters, "a name is too long")
        try holds(
            !field.name.isEmpty && field.name.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != 0x3A },
            "a field has an invalid name")
    }
    let images = limits.imageSize * 4 / 3 + limits.images * 32
    for (text, size) in [(message.text, limits.textSize), (message.html?.text, limits.textSize + images)] {
        guard let text else { continue }
        try holds(text.utf8.count <= size, "a text is too long")
        try holds(
            text.unicodeScalars.allSatisfy { $0 == "\t" || $0 == "\n" || !isControl($0) },
            "a text has a control character")
    }
    try holds(message.parts.count <= limits.parts, "too many parts")
    var size = 0
    for part in message.parts {
        size += part.size
        try holds(part.name?.isEmpty != true && part.contentID?.isEmpty != true, "a name is empty")
        try holds((part.name ?? "").unicodeScalars.count <= 255, "a file name is too long")
        for text in [part.name ?? "", part.contentID ?? ""] {
            try holds(text.unicodeScalars.allSatisfy { $0 == "\t" || !isControl($0) }, "a name has a control character")
        }
        try holds(
            part.type.utf8.allSatisfy { (0x21...0x7E).contains($0) && !(0x41...0x5A).contains($0) }
                && part.type.contains("/"), "a part has an invalid type")
    }
    try holds(size <= input.count, "the parts are longer than the message")
}

/// Checks that each value with lower limits is the beginning of the value with higher limits.
private func checkBeginning(
    _ small: ReadableMessage, of whole: ReadableMessage, _ input: [UInt8]
) throws(Violation) {
    func holds(_ condition: Bool, _ what: String) throws(Violation) {
        try require(condition, "\(what): \(shown(input)) is read as \(whole), and with lower limits as \(small)")
    }
    for (field, other) in zip(small.fields, whole.fields) {
        try holds(
            other.name.hasPrefix(field.name) && isBeginning(field.value, of: other.value), "a field differs")
    }
    guard small.isCutOff else {
        try holds(
            !whole.isCutOff && small.fields == whole.fields && small.text == whole.text && small.html == whole.html
                && small.parts == whole.parts, "something is left out, but isCutOff is false")
        return
    }
}

private func isBeginning(_ text: String, of other: String) -> Bool {
    other.unicodeScalars.starts(with: text.unicodeScalars)
}

private func isControl(_ scalar: Unicode.Scalar) -> Bool {
    scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
}
