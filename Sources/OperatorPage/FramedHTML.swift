/// A message's HTML for the frame, changed so that a browser opens no connection by itself.
///
/// The frame's policy stops scripts, requests and forms. No policy stops `<link rel=preconnect>` and `dns-prefetch`,
/// and for a frame within the frame a browser connects before it finds that the policy forbids it. Either way, a sender
/// could learn when and from where a mail is viewed. So elements with these names are renamed. Element names can't be
/// written with character references, so they can be found as plain text.
enum FramedHTML {
    /// `srcdoc` is included: it holds a document of its own, in which such an element could hide behind character
    /// references.
    private static let words = ["<link", "<iframe", "<frame", "<fencedframe", "srcdoc"].map { Array($0.utf8) }

    static func octets(of html: String) -> [UInt8] {
        words.reduce(Array(html.utf8)) { replace($1, in: $0) }
    }

    /// Puts `x-` before the letters of `word` wherever it occurs, in upper or lower case.
    private static func replace(_ word: [UInt8], in octets: [UInt8]) -> [UInt8] {
        guard let first = word.first else { return octets }
        // In "<link", the x- goes after the bracket.
        let prefix = first == UInt8(ascii: "<") ? 1 : 0
        var result: [UInt8] = []
        result.reserveCapacity(octets.count)
        var index = 0
        while index < octets.count {
            guard lower(octets[index]) == first, octets.count - index >= word.count,
                zip(octets[index...], word).allSatisfy({ lower($0) == $1 })
            else {
                result.append(octets[index])
                index += 1
                continue
            }
            result += octets[index..<(index + prefix)]
            result += Array("x-".utf8)
            result += octets[(index + prefix)..<(index + word.count)]
            index += word.count
        }
        return result
    }

    private static func lower(_ octet: UInt8) -> UInt8 {
        UInt8(ascii: "A")...UInt8(ascii: "Z") ~= octet ? octet | 0x20 : octet
    }
}
