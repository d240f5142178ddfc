import CyxCore
import CyxObjects
import Testing

@testable import CyxGateway

@Suite struct UploadPageTests {
    private let uploads = [("b/2", "4"), ("a", "1"), ("b/1", "3"), ("b/1", "2"), ("c", "5")].map {
        UploadInfo(id: $1, key: $0, started: WallTime(milliseconds: 0))
    }

    private func page(_ change: (inout UploadPage.Request) -> Void = { _ in }) -> UploadPage {
        var request = UploadPage.Request()
        change(&request)
        return UploadPage(uploads, request)
    }

    @Test func uploadsAreSortedByKeyAndID() {
        #expect(page().uploads.map(\.id) == ["1", "2", "3", "4", "5"])
        #expect(page { $0.prefix = "b/" }.uploads.map(\.id) == ["2", "3", "4"])
    }

    @Test(arguments: 1...5)
    func pagesTellOfEachOnce(limit: Int) {
        for delimiter in [nil, "/"] {
            var found: [String] = []
            var (key, id) = ("", "")
            for _ in 0..<10 {
                let page = page {
                    ($0.limit, $0.delimiter, $0.keyMarker, $0.idMarker) = (
                        limit, delimiter, key, id
                    )
                }
                found += page.uploads.map(\.id) + page.commonPrefixes
                (key, id) = (page.nextKey, page.nextID)
                guard page.isTruncated else { break }
            }
            #expect(
                Set(found)
                    == (delimiter == nil ? ["1", "2", "3", "4", "5"] : ["1", "b/", "5"]))
            #expect(found.count == Set(found).count)
        }
    }

    @Test func aMarkerWithoutAnIDSkipsTheKey() {
        #expect(page { $0.keyMarker = "b/1" }.uploads.map(\.id) == ["4", "5"])
        let later = page { ($0.keyMarker, $0.idMarker) = ("b/1", "2") }
        #expect(later.uploads.map(\.id) == ["3", "4", "5"])
        let none = page { $0.limit = 0 }
        #expect(none.uploads.isEmpty)
        #expect(!none.isTruncated)
    }
}
