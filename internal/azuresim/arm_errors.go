package azuresim

import (
	"fmt"
	"net/http"
)

// armError is a refusal in ARM's error body. (learn.microsoft.com
// azure-resource-manager/troubleshooting/common-deployment-errors, [doc];
// message texts follow what the service sends, [sample].)
type armError struct {
	Status     int
	Code       string
	Message    string
	RetryAfter string           // seconds; empty sends no header
	Details    []map[string]any // error.details, of Resource Graph
}

func (e *armError) write(w http.ResponseWriter) {
	body := map[string]any{"code": e.Code, "message": e.Message}
	if len(e.Details) > 0 {
		body["details"] = e.Details
	}
	if e.RetryAfter != "" {
		w.Header().Set("Retry-After", e.RetryAfter)
	}
	w.Header().Set("x-ms-error-code", e.Code)
	writeJSON(w, e.Status, map[string]any{"error": body})
}

func armBadRequest(code, format string, args ...any) *armError {
	return &armError{Status: http.StatusBadRequest, Code: code, Message: fmt.Sprintf(format, args...)}
}

func armNotFound(typ, name, group string) *armError {
	return &armError{Status: http.StatusNotFound, Code: "ResourceNotFound", Message: fmt.Sprintf(
		"The Resource '%s/%s' under resource group '%s' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix", typ, name, group)}
}

func armForbidden(caller, action, scope string) *armError {
	return &armError{Status: http.StatusForbidden, Code: "AuthorizationFailed", Message: fmt.Sprintf(
		"The client '%s' with object id '%s' does not have authorization to perform action '%s' over scope '%s' or the scope is invalid. "+
			"If access was recently granted, please refresh your credentials.", caller, caller, action, scope)}
}
