import Foundation

@testable import InternetMessage

/// The octets of a text with escapes, as tests and the corpus write them. The corpus's FORMAT.md lists the escapes.
func octets(_ escaped: some StringProtocol) -> [UInt8] {
    var result: [UInt8] = []
    var rest = Substring(escaped)
    while let first = rest.popFirst() {
        guard first == "\\", let kind = rest.popFirst() else {
            result += Array(String(first).utf8)
            continue
        }
        switch kind {
        case "r": result.append(0x0D)
        case "n": result.append(0x0A)
        case "t": result.append(0x09)
        case "0": result.append(0x00)
        case "e": result.append(0x1B)
        case "x":
            result.append(UInt8(rest.prefix(2), radix: 16) ?? 0)
            rest = rest.dropFirst(2)
        case "u":
            let digits = rest.dropFirst().prefix { $0 != "}" }
            rest = rest.dropFirst(digits.count + 2)
            if let value = UInt32(digits, radix: 16), let scalar = Unicode.Scalar(value) {
                result += Array(String(Character(scalar)).utf8)
            }
        case "{":
            let body = rest.prefix { $0 != "}" }
            rest = rest.dropFirst(body.count + 1)
            let parts = body.split(separator: "*", maxSplits: 1)
            let text = octets(parts.last ?? "")
            for _ in 0..<(parts.first.flatMap { Int($0) } ?? 0) { result += text }
        default: result += Array(String(kind).utf8)
        }
    }
    return result
}

func text(_ bytes: some Sequence<UInt8>) -> String { String(decoding: Array(bytes), as: UTF8.self) }

/// The output and the result of the preparation of a message.
struct Prepared: Equatable {
    var output: [UInt8] = []
    var result: Result<HeaderSummary, MessageRejection>

    var rejection: MessageRejection? {
        if case .failure(let rejection) = result { rejection } else { nil }
    }

    var summary: HeaderSummary? { try? result.get() }
}

let plainContext = PreparationContext(
    received: nil, date: "Tue, 24 Nov 2026 14:33:17 +0000", messageID: "<1@relay.test>")

func prepare(
    _ chunks: [[UInt8]], _ policy: PreparationPolicy = PreparationPolicy(), _ context: PreparationContext = plainContext
) -> Prepared {
    var preparation = MessagePreparation(policy: policy, context: context)
    var output: [UInt8] = []
    for chunk in chunks { chunk.withUnsafeBytes { preparation.consume($0, into: &output) } }
    let result = preparation.finish(into: &output)
    return Prepared(output: output, result: result)
}

func prepare(
    _ message: String, _ policy: PreparationPolicy = PreparationPolicy(), _ context: PreparationContext = plainContext
) -> Prepared {
    prepare([octets(message)], policy, context)
}

/// All ways to cut `bytes` into two pieces, and `bytes` cut into single octets.
func halves(_ bytes: [UInt8]) -> [[[UInt8]]] {
    [bytes.map { [$0] }] + (0...bytes.count).map { [Array(bytes[..<$0]), Array(bytes[$0...])] }
}

/// Describes a message in one line: its text, its HTML and its parts.
func summary(_ message: ReadableMessage) -> String {
    var words: [String] = []
    if let text = message.text { words.append("text=\(text.replacing("\n", with: "|"))") }
    if let html = message.html { words.append("html=\(html.text.replacing("\n", with: "|"))") }
    for part in message.parts {
        let name = part.name.map { " \($0)" } ?? ""
        let contentID = part.contentID.map { " <\($0)>" } ?? ""
        words.append("\(part.isAttachment ? "attached" : "shown") \(part.type) \(part.size)\(name)\(contentID)")
    }
    return words.joined(separator: "; ") + (message.isCutOff ? "; cut" : "")
}

func summary(_ message: String) -> String { summary(ReadableMessage(octets(message))) }

/// A multipart. Each of `parts` includes its header.
func multipart(_ subtype: String, _ boundary: String, _ parts: [String]) -> String {
    "Content-Type: multipart/\(subtype); boundary=\"\(boundary)\"\\r\\n\\r\\n"
        + parts.map { "--\(boundary)\\r\\n\($0)\\r\\n" }.joined() + "--\(boundary)--\\r\\n"
}
