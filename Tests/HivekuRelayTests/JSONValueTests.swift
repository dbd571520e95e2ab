import RelayCore
import StrictJSON
import TestSupport
import Testing

@testable import hiveku_relay

@Suite struct JSONValueTests {
    private func text(_ value: JSONValue) -> String { String(decoding: value.bytes, as: UTF8.self) }

    /// Scripts find each member, even if it has no value.
    @Test func membersAreSortedAndNullIsWritten() {
        let value = JSONValue.object([
            "b": .array([.integer(1), .number(0.5), .bool(true)]), "a": JSONValue(String?.none), "c": .string("\"é\n"),
        ])
        #expect(text(value) == #"{"a":null,"b":[1,0.5,true],"c":"\"é\n"}"#)
    }

    @Test func absentValuesAreWrittenAsNull() {
        #expect(text(JSONValue(Int?.none)) == "null" && text(JSONValue(Timestamp?.none)) == "null")
        #expect(text(JSONValue(7)) == "7" && text(JSONValue(["x", "y"])) == #"["x","y"]"#)
        #expect(text(JSONValue(Timestamp(milliseconds: 0))) == #""1970-01-01T00:00:00.000Z""#)
    }

    @Test func nonFiniteNumbersAreWrittenAsNull() {
        #expect(text(.number(.nan)) == "null" && text(.number(.infinity)) == "null")
    }
}
