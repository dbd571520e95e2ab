import FuzzSupport
import StrictJSON

extension Property {
    /// A document is read the same way each time and within its limits. A written document reads back as the same
    /// value. Each mistake has a place in the document and an explanation that is fit for a terminal.
    public static let json = Property("json") { input in
        let limits = JSONLimits(depth: 8, values: 64)
        let value: JSON
        do throws(JSONError) {
            value = try JSON(reading: input, limits: limits)
        } catch {
            try check(error, input)
            return
        }
        var shape = Shape()
        shape.add(value)
        try require(shape.values <= limits.values, "\(shape.values) values in \(shown(input))")
        try require(shape.depth <= limits.depth, "\(shape.depth) deep: \(shown(input))")
        try require(shape.isSound, "not UTF-8, or a name twice: \(shown(input))")
        let written = value.bytes
        let again = try JSON(reading: written, limits: limits)
        try require(again == value, "\(shown(input)) is written as \(shown(written))")
        try require(again.bytes == written, "\(shown(written)) is written as \(shown(again.bytes))")
        // Within an array, the document gives the same value.
        let padded = try JSON(reading: (Array(" [".utf8) + input + Array("]\n".utf8))[...], limits: .init())
        try require(padded == .array([value]), "\(shown(input)) is another value within an array")
    }

    private static func check(_ error: JSONError, _ input: [UInt8]) throws {
        try require(
            (0...input.count).contains(error.offset), "a mistake at \(error.offset) of \(shown(input))")
        try require(
            (1...(input.count + 1)).contains(error.line) && (1...(error.offset + 1)).contains(error.column),
            "a mistake in line \(error.line), column \(error.column) of \(shown(input))")
        try checkWords(error.explanation, input)
    }
}

/// Checks words for a client: they must be short and have no control characters.
func checkWords(_ words: String, _ input: [UInt8]) throws {
    try require((1...2000).contains(words.utf8.count), "\(words.utf8.count) octets of words: \(shown(input))")
    try require(
        words.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) },
        "words with control characters: \(words.debugDescription), for \(shown(input))")
}

/// The size and the depth of a value, and whether its strings and names are valid.
private struct Shape {
    var values = 0
    var depth = 0
    var isSound = true

    mutating func add(_ value: JSON, within level: Int = 0) {
        values += 1
        switch value {
        case .null, .bool, .number: break
        case .string(let string): check(string)
        case .array(let elements):
            depth = max(depth, level + 1)
            for element in elements { add(element, within: level + 1) }
        case .object(let object):
            depth = max(depth, level + 1)
            if Set(object.members.map(\.name)).count != object.members.count { isSound = false }
            for member in object.members {
                check(member.name)
                add(member.value, within: level + 1)
            }
        }
    }

    private mutating func check(_ string: JSONString) {
        if String(validating: string.utf8, as: UTF8.self) == nil { isSound = false }
    }
}
