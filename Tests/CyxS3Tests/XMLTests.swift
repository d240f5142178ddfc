import CyxCore
import CyxS3
import Testing

@Suite struct XMLTests {
    private static let document =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- c -->"
        + "<s3:Delete xmlns:s3='http://s3.amazonaws.com/doc/2006-03-01/'><s3:Quiet>true</s3:Quiet>"
        + "<s3:Object><s3:Key>a&amp;b &lt;&#x20AC;&#65;<![CDATA[<raw>]]></s3:Key></s3:Object>"
        + "<s3:Object><s3:Key/></s3:Object></s3:Delete>\n"

    @Test func elementsTextAndEntitiesAreRead() throws {
        let root = try XMLReader.parse(Array(Self.document.utf8))
        #expect(root.name == "Delete")
        #expect(root.text(of: "Quiet") == "true")
        #expect(root.children(named: "Object").map { $0.text(of: "Key") } == ["a&b <€A<raw>", ""])
        #expect(root.children(named: "Object")[1].child("Key") == XMLElement(name: "Key"))
        #expect(root.text(of: "Nothing") == nil)
    }

    @Test func doctypesAndForeignEntitiesAreRefused() {
        let documents = [
            "<!DOCTYPE a><a/>", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "<a>&b;</a>",
            "<a><?php x ?></a>", "<a><!ENTITY></a>",
        ]
        for document in documents {
            #expect(throws: XMLError.self) { try XMLReader.parse(Array(document.utf8)) }
        }
    }

    @Test func brokenDocumentsAreRefused() {
        let documents = [
            "", " ", "a", "<a>", "</a>", "<a></b>", "<a/><b/>", "<a/>x", "<a b></a>", "<a b=c/>",
            "<a b='<'/>", "<a>&#0;</a>", "<a>&#xD800;</a>", "<a>&#+65;</a>", "<a>&amp</a>", "<>",
            "text", "<a",
        ]
        for document in documents {
            #expect(throws: XMLError.self) { try XMLReader.parse(Array(document.utf8)) }
        }
        #expect(throws: XMLError.self) { try XMLReader.parse([0x3C, 0x61, 0x3E, 0xFF, 0x3C]) }
    }

    @Test func depthElementsAndSizeAreBounded() throws {
        let deep = String(repeating: "<a>", count: 100_000)
        #expect(throws: XMLError.tooLarge) { try XMLReader.parse(Array(deep.utf8)) }
        let wide = "<a>" + String(repeating: "<b/>", count: 60_000) + "</a>"
        #expect(throws: XMLError.tooLarge) { try XMLReader.parse(Array(wide.utf8)) }
        let large = [UInt8](repeating: 0x20, count: XMLReader.maximumBytes + 1)
        #expect(throws: XMLError.tooLarge) { try XMLReader.parse(large) }
        let fits = Array("<a/>".utf8) + large
        #expect(try XMLReader.parse(fits, maximumBytes: fits.count).name == "a")
    }

    @Test func truncationsAndMutationsNeverTrap() {
        let bytes = Array(Self.document.utf8)
        for count in 0..<bytes.count - 1 {
            #expect(throws: XMLError.self) { try XMLReader.parse(Array(bytes.prefix(count))) }
        }
        var random = SeededGenerator(seed: 11)
        for _ in 0..<5000 {
            var changed = bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: 0..<changed.count, using: &random)
                changed[index] = UInt8.random(in: 0...255, using: &random)
            }
            do {
                _ = try XMLReader.parse(changed)
            } catch {
                #expect(error as Any is XMLError)
            }
        }
    }

    @Test func writtenTextReadsBack() throws {
        let text = "a<b>&\"'\r\n\t]]>€"
        let bytes = XMLWriter.document("Root") { $0.element("Text", text) }
        #expect(try XMLReader.parse(bytes).text(of: "Text") == text)
        let control = XMLWriter.document("Root") { $0.element("Text", "\u{1}\u{0}") }
        #expect(try XMLReader.parse(control).text(of: "Text") == "\u{FFFD}\u{FFFD}")
    }
}
