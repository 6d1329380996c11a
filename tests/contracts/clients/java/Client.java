import com.fasterxml.jackson.core.type.TypeReference;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import rollcall.ApiClient;
import rollcall.ApiException;
import rollcall.ApiResponse;
import rollcall.api.UsersApi;
import rollcall.model.AuthenticationProvider;
import rollcall.model.Credential;
import rollcall.model.CredentialPage;
import rollcall.model.NewUser;
import rollcall.model.Search;
import rollcall.model.SearchAuthenticationProvider;
import rollcall.model.User;
import rollcall.model.UserPage;
import rollcall.model.UserUpdate;

/**
 * Goes through every operation with the classes of openapi-generator. The steps are the same in
 * every language.
 */
class Client {
    interface Call {
        void run() throws ApiException;
    }

    static final ApiClient client = client(System.getenv("TOKEN"));
    static final UsersApi api = new UsersApi(client);

    static ApiClient client(String token) {
        ApiClient made = new ApiClient();
        made.updateBaseUri(System.getenv("ROLLCALL_URL"));
        if (token != null) made.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + token));
        return made;
    }

    static void check(boolean holds, Object shown) {
        if (!holds) throw new AssertionError(shown);
    }

    static rollcall.model.Error fails(int status, String code, Call call) throws Exception {
        try {
            call.run();
        } catch (ApiException failure) {
            check(failure.getCode() == status, failure);
            if (code == null) return null;
            var error = client.getObjectMapper().readValue(failure.getResponseBody(), rollcall.model.Error.class);
            check(error.getCode().getValue().equals(code), failure);
            return error;
        }
        throw new AssertionError(status + " was expected");
    }

    static String header(ApiResponse<?> response, String name) {
        return response.getHeaders().get(name).get(0);
    }

    static UUID createOnce() throws Exception {
        NewUser body = new NewUser()
            .claims(Map.of("name", "Ada", "address", Map.of("country", "NZ")))
            .authenticationProvider(new AuthenticationProvider().subjectId("idp|1"));
        ApiResponse<User> created = api.createUserWithHttpInfo(body, "java-1", null, null);
        User user = created.getData();
        check(created.getStatusCode() == 201 && header(created, "etag").equals("\"1\""), created);
        check(header(created, "location").endsWith("/" + user.getId()), created);
        ApiResponse<User> again = api.createUserWithHttpInfo(body, "java-1", null, null);
        check(again.getStatusCode() == 200 && again.getData().equals(user), again);
        fails(422, "UnprocessableEntity", () -> api.createUser(new NewUser(), "java-1", null, null));
        check(api.getUser(user.getId(), null, null, header(created, "log-position"), null).equals(user), user);
        return user.getId();
    }

    static void conditions(UUID id) throws Exception {
        fails(304, null, () -> api.getUser(id, "\"1\"", null, null, null));
        UserUpdate body = new UserUpdate().claims(Map.of("name", "Ada Lovelace"));
        ApiResponse<User> updated = api.updateUserWithHttpInfo(id, body, "\"1\"", null, null, null);
        check(header(updated, "etag").equals("\"2\""), updated);
        check(updated.getData().getClaims().get("name").equals("Ada Lovelace"), updated.getData());
        check(updated.getData().getAuthenticationProvider().getSubjectId().equals("idp|1"), updated.getData());
        fails(412, "PreconditionFailed", () -> api.updateUser(id, body, "\"1\"", null, null, null));
    }

    static void search(UUID id) throws Exception {
        Search body = new Search()
            .claims(Map.of("name", "Ada Lovelace"))
            .authenticationProvider(new SearchAuthenticationProvider().subjectId("idp|1"));
        UserPage found = api.searchUsers(body, null, null);
        check(found.getData().size() == 1 && found.getData().get(0).getId().equals(id), found);
        check(found.getNextCursor() == null, found);
    }

    static void pages() throws Exception {
        Set<UUID> ids = new HashSet<>();
        String cursor = null;
        do {
            UserPage page = api.listUsers(1000, cursor, null, null);
            page.getData().forEach(user -> ids.add(user.getId()));
            cursor = page.getNextCursor();
        } while (cursor != null);
        check(ids.size() == Integer.parseInt(System.getenv("USERS")) + 1, ids.size());
    }

    static void credentials() throws Exception {
        UUID holder = UUID.fromString(System.getenv("HOLDER"));
        List<Credential> all = new ArrayList<>();
        String cursor = null;
        do {
            CredentialPage page = api.listUserCredentials(holder, 3, cursor, null, null);
            all.addAll(page.getData());
            cursor = page.getNextCursor();
        } while (cursor != null);
        var expected = client.getObjectMapper()
            .readValue(System.getenv("CREDENTIALS"), new TypeReference<List<Credential>>() {});
        check(all.equals(expected), all);
    }

    static void remove(UUID id) throws Exception {
        check(api.deleteUserWithHttpInfo(id, null, null, null, null).getStatusCode() == 204, id);
        var gone = fails(404, "NotFound", () -> api.getUser(id, null, null, null, null));
        check(gone.getDetails().get(0).getValue().equals(id.toString()), gone);
        fails(409, "Conflict", () -> api.createUser(new NewUser(), "java-1", null, null));
    }

    static void refusals() throws Exception {
        var detail = fails(400, "BadRequest", () -> api.listUsers(1001, null, null, null)).getDetails().get(0);
        check(detail.getParam().equals("limit") && detail.getValue().equals("1001"), detail);
        UsersApi anonymous = new UsersApi(client(null));
        fails(401, "Unauthorized", () -> anonymous.listUsers(null, null, null, null));
    }

    public static void main(String[] args) throws Exception {
        UUID id = createOnce();
        conditions(id);
        search(id);
        pages();
        credentials();
        remove(id);
        refusals();
        System.out.println("every operation answered as described");
    }
}
