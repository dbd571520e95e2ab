import TestSupport
import Testing

/// Other tests compare sentences with this helper, so it must also be able to reject a text.
@Suite("Patterns of sentences") struct PatternTests {
    @Test(arguments: [
        ("250 2.1.0 Ok", "250 2.1.0 Ok"), ("452 4.3.1 The disk is full [storage]", "452 4.3.1 … [storage]"),
        ("452 4.3.1 The disk is full [storage]", "452 4.3.1 … disk … full … [storage]"),
        ("500 5.5.2 Unknown command", "500 5.5.2 … unknown …"), ("at most 5 of 50", "… 5 … 50 …"),
        ("500 a\r\n", "500 …\r\n"),
    ])
    func fit(text: String, pattern: String) { #expect(text.reads(pattern)) }

    @Test(arguments: [
        ("250 2.1.0 Ok", "250 2.1.5 Ok"), ("250 2.1.0 Ok", "250 2.1.0"),
        ("452 4.3.1 The disk is full [storage]", "451 4.3.1 … [storage]"),
        ("452 4.3.1 The disk is full [storage]", "452 4.3.1 … [size]"),
        ("452 4.3.1 The disk is full [storage]", "452 4.3.1 … full … disk … [storage]"),
        ("452 4.3.1 The disk is full [storage]", "452 4.3.1 … memory … [storage]"),
        ("use STARTTLS", "… Starttls …"), ("at most 50", "… 5 …"), ("at most 15", "… 5 …"),
        ("500 a\r\n500 b\r\n", "500 …\r\n"),
    ])
    func doNotFit(text: String, pattern: String) { #expect(!text.reads(pattern)) }

    @Test func listsAreComparedElementByElement() {
        #expect(["1: a b", "2: c"].reads(["1: … b …", "2: c"]))
        #expect(!["1: a b", "2: c"].reads(["1: … b …"]))
        #expect(!["1: a b", "2: c"].reads(["1: … b …", "3: c"]))
    }
}
