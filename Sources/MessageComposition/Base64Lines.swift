import InternetMessage

/// The base64 digits of a file in lines of 76 characters (RFC 2045 section 6.8), made piece by piece.
struct Base64Lines {
    private let content: Base64Text
    private var index: Int
    private var column = 0

    init(_ content: Base64Text) {
        self.content = content
        index = content.bytes.startIndex
    }

    /// The number of octets of all pieces together.
    var size: Int { LineLength.withLineEnds(content.digitCount) }

    /// Appends the next octets until `output` has about `limit` octets. Returns false when the digits have ended.
    mutating func append(upTo limit: Int, to output: inout [UInt8]) -> Bool {
        let holdsWhiteSpace = content.holdsWhiteSpace
        let isUnfinished = content.bytes.withUnsafeBufferPointer { bytes in
            let start = content.bytes.startIndex
            var position = index - start
            while position < bytes.count, output.count < limit {
                var end = min(bytes.count, position + LineLength.base64 - column)
                if holdsWhiteSpace {
                    var blank = position
                    while blank < end, bytes[blank] > .space { blank += 1 }
                    end = blank
                }
                output.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[position..<end]))
                column += end - position
                position = end
                if column == LineLength.base64 { endLine(&output) }
                while position < bytes.count, bytes[position] <= .space { position += 1 }
            }
            index = position + start
            return position < bytes.count
        }
        if !isUnfinished, column > 0 { endLine(&output) }
        return isUnfinished
    }

    private mutating func endLine(_ output: inout [UInt8]) {
        output.append(.cr)
        output.append(.lf)
        column = 0
    }
}
