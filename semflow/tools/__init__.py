"""What people use beside the workflow: bench, plan, data check and prepare, convert, pictures of their own."""
