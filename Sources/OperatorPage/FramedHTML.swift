/// A message's HTML for the frame, in which a browser opens no connection by itself.
///
/// The frame's policy stops scripts, requests and forms. No policy stops `<link rel=preconnect>` and `dns-prefetch`, and a browser connects for a
/// frame within the frame before it finds that the policy forbids it: by either a sender would learn when a mail is looked at, and from
/// where. So no element has one of these names any more. Names can't be written with references, so they are found as they are.
enum FramedHTML {
    /// `srcdoc` is a document by itself, in which such an element could hide behind references.
    private static let words = ["<link", "<iframe", "<frame", "<fencedframe", "srcdoc"].map { Array($0.utf8) }

    static func octets(of html: String) -> [UInt8] {
        words.reduce(Array(html.utf8)) { replace($1, in: $0) }
    }

    /// Puts `x-` in front of the letters of `word`, whatever their case is.
    private static func replace(_ word: [UInt8], in octets: [UInt8]) -> [UInt8] {
        guard let first = word.first else { return octets }
        // Of "<link" the x- goes behind the bracket.
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
